"""Searches that see only a model's outputs or its decisions; their attacks are `square` and `hopskipjump`."""
