"""Attacks: one loop for every gradient ascent, and classes of their own for what is not an ascent."""
