"""An audit from start to end: its folder, lock, log and gates."""
