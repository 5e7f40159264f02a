"""Contradictions between the fields of a plan."""
