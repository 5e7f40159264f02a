"""The model under attack: its forward pass, folded preprocessing, sliding windows and batch sizes."""

from palpate.victim.victim import Inferer, Layout, Precision, Tuning, Victim, dtype_of

__all__ = ["Inferer", "Layout", "Precision", "Tuning", "Victim", "dtype_of"]
