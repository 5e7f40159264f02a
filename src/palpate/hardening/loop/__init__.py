"""The training loop of a hardening: epochs, the choice of the best one, rollbacks, and resuming to the same bytes."""

from palpate.hardening.loop.progress import News, Progress, Silence
from palpate.hardening.loop.trainer import train

__all__ = ["News", "Progress", "Silence", "train"]
