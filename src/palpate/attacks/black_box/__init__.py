"""Searches that see only outputs or decisions of the model: squares, a walk along the boundary, transfer."""
