"""An audit from start to end: its folder, its lock, its log, its gates."""
