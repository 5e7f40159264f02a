"""Random squares for models without gradient: a search that sees only outputs."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.black_box.squares import Squares
from palpate.attacks.black_box.windows import SquaresL1, SquaresL2
from palpate.attacks.search import Search
from palpate.contracts import Threat
from palpate.errors import InputError
from palpate.streams import Streams

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries of 10000 after which the squares cover half of what they covered; other budgets are scaled to it."""
_STATES: dict[str, type[Squares]] = {"linf": Squares, "l2": SquaresL2, "l1": SquaresL1}


@dataclass(frozen=True)
class Square(Search):
    """Random search over squares (cubes in 3D) at the surface of an L-inf, L2 or L1 ball; it needs only outputs.

    L-inf: every change is +radius or -radius at every value. The first image has stripes of random sign. Each query
    then writes one sign per channel into one square at a random place.

    L2, L1: every change has the length of the radius. The first image is a grid of squares, five along each axis, each
    with a hill and a valley of random sign per channel. Each query then draws two squares of the same size. It empties
    the second and adds a hill and a valley to the first, which gets the length of both and what the box had cut off.

    A query is kept if the margin falls, or if the margin stays and the soft score falls: the margin of masks and boxes
    has wide plateaus.

    The squares cover the share p of the image, p = p_init / 2^k after k of the paper's halving points (10, 50, 200,
    500, 1000, 2000, 4000, 6000, 8000 of 10000 queries, scaled to `queries`). If a threat allows changes in only a part
    of the image, squares are in the smallest box around that part, and p is a share of the box.

    Differs from the published code: squares reach the last row and column; in L-inf, a square that would change nothing
    has its signs flipped instead of drawn again; ties go to the soft score. In L2 and L1, hills are cut along any axis,
    and values that a threat does not let change have no part in the length. L1 is L2 with another length; the published
    code also projects each change onto the ball within the box.

    Reference: Andriushchenko, Croce, Flammarion, Hein, Square Attack, ECCV 2020 (arXiv:1912.00049).

    Attributes:
        threat: an L-inf, L2 or L1 ball, or one confined to regions, lattices or tied channels.
        queries: images that are tried per sample; a sample that is beaten is not tried again.
        p_init: share of the image that the first squares cover.
        run_to_end: let every sample spend all queries; the image of smallest margin is returned.

    Raises:
        InputError: fewer than one query, or a share outside (0, 1].
    """

    threat: Threat
    queries: int = 1000
    p_init: float = 0.8
    run_to_end: bool = False

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise InputError(f"queries: {self.queries} must be at least 1.")
        if not 0 < self.p_init <= 1:
            raise InputError(f"p_init: {self.p_init:g} must be above 0 and at most 1.")

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Try a first image, then squares, until the queries are spent or every sample is beaten."""
        rows = best_so_far.open_rows()
        rows = rows[best_so_far.affordable(rows)]
        if len(rows):
            state = _STATES[self.threat.norm]
            tied = bool(getattr(self.threat, "tied", False))
            state(self.share, self.queries, best_so_far, rows, streams.take(rows), self.run_to_end, tied).run()

    def share(self, query: int) -> float:
        """Share of the image that the square of this query covers; queries count from 0, the first image is query 0."""
        scaled = query * 10_000 // self.queries
        return self.p_init / 2.0 ** sum(scaled > point for point in _HALVINGS)
