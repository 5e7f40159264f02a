"""Which perturbations are allowed: balls, balls with confined changes, and frequencies.

Public modules, imported by their full names: this package imports nothing, so that it costs nothing.
"""

__all__ = ["ball", "confined", "frequency"]
