"""Attacks: one loop for every gradient ascent, and a separate class for every other attack.

Public modules, imported by their full names: this package imports nothing, so that it costs nothing.
"""

__all__ = [
    "ascent",
    "curve",
    "directions",
    "noise",
    "objectives",
    "recipes",
    "recipes_dense",
    "robust",
    "square",
    "steps",
]
