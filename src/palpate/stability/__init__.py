"""What happens along an attack: its trace, the path of its change in a plane, and the spread of its final change.

`trace(attack, victim, task, images, targets, starts=3).kl_final` is, for example, (starts, B, T + 1).
"""

from palpate.stability.rows import trace_rows
from palpate.stability.spread import spread_images, spread_starts
from palpate.stability.terms import stabilisation
from palpate.stability.trace import Trace, trace

__all__ = ["Trace", "spread_images", "spread_starts", "stabilisation", "trace", "trace_rows"]
