"""HopSkipJump: a walk along the boundary of the decision, for models that give a decision and no scores."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.annotations import Boxes
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.black_box.walk import Walk
from palpate.attacks.search import Search
from palpate.contracts import Threat
from palpate.errors import InputError
from palpate.streams import Streams


@dataclass(frozen=True)
class HopSkipJump(Search):
    """A walk along the boundary of the decision towards the image (2D and 3D); it needs only decisions, no scores.

    The walk starts from a random image on which the goal is reached, far outside the ball, and halves the way back to
    the image until it is just beyond the boundary. Each iteration t = 1, 2, ... has three parts:

        v = mean over b of (f_b - mean f) u_b,  f_b = +1 if the goal is reached at x_t + delta u_b, and -1 if not
        x'  = x_t + (|x_t - x| / sqrt t / 2^k) v / |v|  (L-inf: sign v), with the least k at which the goal is reached
        x_t+1 = the nearest image to x on the way back from x' at which the goal is reached, by halving

    with `draws` * sqrt t unit directions u_b and delta = |x_t - x| / d for d values. After each iteration the way back
    is cut where it enters the ball. An image on which the goal is reached there ends the search.

    Of outputs it uses whether the goal is reached, nothing else. If there are scores, `square` uses them and is
    stronger at equal queries. An unbeaten image is the best one of those inside the ball.

    Differs from the published code: it stops in the ball, where the original makes the change ever smaller; delta is
    never so small that floating point, or the lattice of stored values, would round it away; starting images are
    noise, coarse noise and flat images in turn; directions are only those that the threat lets the model see.

    Reference: Chen, Jordan, Wainwright, HopSkipJumpAttack, IEEE S&P 2020 (arXiv:1904.02144).

    Attributes:
        threat: an L-inf or L2 ball, or one confined to regions, lattices or tied channels.
        queries: images that are tried per sample; a sample that is beaten is not tried again.
        draws: directions of the first iteration.
        tries: random images that are tried as a start; a sample without a start is not beaten.

    Raises:
        InputError: fewer than one query, draw or try; boxes.
    """

    threat: Threat
    queries: int = 1000
    draws: int = 100
    tries: int = 30

    def __post_init__(self) -> None:
        for name in ("queries", "draws", "tries"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} must be at least 1.")

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Find a start, then walk until the queries are spent or every sample is beaten."""
        if isinstance(best_so_far.targets, Boxes):
            raise InputError("hopskipjump walks along one boundary per image, and each box has its own. Use square.")
        if self.threat.norm not in ("linf", "l2"):
            raise InputError(f"hopskipjump searches linf and l2 balls, not {self.threat.norm}.")
        rows = best_so_far.open_rows()
        rows = rows[best_so_far.affordable(rows)]
        if len(rows):
            Walk(self, best_so_far, rows, streams.take(rows)).run(self.draws, self.tries)
