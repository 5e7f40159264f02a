"""The model under attack: its forward pass, folded preprocessing, sliding windows, defences and batch sizes."""

from palpate.victim.defence import Defence, Pass
from palpate.victim.forms import dtype_of
from palpate.victim.victim import Inferer, MemoryLayout, Precision, Tuning, Victim

__all__ = ["Defence", "Inferer", "MemoryLayout", "Pass", "Precision", "Tuning", "Victim", "dtype_of"]
