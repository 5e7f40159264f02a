"""The training loop of a hardening: epochs, the choice of the best one, rollbacks, and resuming to the same bytes."""

from palpate.harden.loop.progress import News, Progress, Silence
from palpate.harden.loop.trainer import train

__all__ = ["News", "Progress", "Silence", "train"]
