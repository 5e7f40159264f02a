"""The model under attack: its forward pass, folded preprocessing, sliding windows and batch sizes."""

from palpate.victim.victim import Inferer, MemoryLayout, Precision, Tuning, Victim, dtype_of

__all__ = ["Inferer", "MemoryLayout", "Precision", "Tuning", "Victim", "dtype_of"]
