"""What the fields of a plan must be to each other."""
