"""Attacks of several stages, and `strongest`, the evaluation without parameters."""
