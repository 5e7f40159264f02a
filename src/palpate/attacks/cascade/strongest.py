"""The one evaluation without parameters: what an attack on this task finds when nothing is left to choose."""

from __future__ import annotations

from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.minimum.norm import FMN
from palpate.attacks.objectives import Deviation, Margin, SoftScore, TowardsRank
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin
from palpate.attacks.sparse.steps import adaptive
from palpate.attacks.square import Square
from palpate.contracts import Objective, Threat

STEPS = 40
"""Steps of each climb."""
RANKS = (1, 2, 0, 3, 4, 5, 6, 7, 8)
"""Classes that are climbed towards, by their rank at the clean image: the margin's own climb mostly goes to rank 0."""
MINIMUM_STEPS = 60
"""Steps of the search for the smallest change, which comes at the boundary from the other side."""
MORE_STEPS = 120
"""Steps of a last climb of masks, findings and boxes: their margins have plateaus, which take long to cross."""
STARTS, LONG = 3, 100
"""Starts and steps of the last climb in L1, where the values that the first steps choose decide where a climb ends."""
QUERIES = 1000
"""Queries of the search without gradient."""
_DENSE = ("multilabel", "segmentation", "detection")


def strongest(threat: Threat, run_to_end: bool = False) -> Cascade:
    """The strongest evaluation that palpate knows: climbs of several objectives, then a search without gradients.

    Each stage attacks the samples that all before it could not beat, so a model that is not robust costs little.
    Classes: a climb of the margin, climbs towards other classes in turn, a climb of the cross-entropy. Masks: climbs
    of the Dice loss, of the margins of the unbroken pixels, of the loss. Boxes and findings: of the margin in place of
    the Dice loss; findings of CosPGD's loss too; all of the margin once more with more steps. All of them with the
    step of Auto-PGD. Then, for what is left, a search for the smallest change (FMN), which approaches the boundary from
    the other side; for classes in L1, climbs from other starts; and random squares, which need no gradient.

    Reference: the idea of an ensemble without parameters is Croce and Hein, ICML 2020 (AutoAttack).
    """

    def climb(objective: Objective) -> Ascent:
        return Ascent(threat, STEPS, objective, step=adaptive(threat), run_to_end=run_to_end)

    ranks = [
        Stage(f"class of rank {rank + 1}", climb(TowardsRank(rank)), ("classification",), choices=max(2, rank + 1))
        for rank in RANKS
    ]
    smallest = Stage("smallest change", FMN(threat, MINIMUM_STEPS))
    more = Ascent(threat, MORE_STEPS, Margin(), step=adaptive(threat), run_to_end=run_to_end)
    starts = Ascent(threat, LONG, Margin(), step=adaptive(threat), restarts=STARTS, run_to_end=run_to_end)
    search = Stage("square", Square(threat, QUERIES, run_to_end=run_to_end), gradient=False)
    stages = (
        # The margin of masks has the gradient of the Dice loss.
        Stage("margin", climb(Margin()), without=("segmentation",)),
        *ranks,
        Stage("dice", climb(SoftScore()), ("segmentation",)),
        Stage("cospgd", climb(CosPGD()), ("multilabel",)),
        Stage("pieces", climb(PieceMargin()), _DENSE),
        Stage("cross-entropy", climb(Deviation()), ("classification",), choices=2),
        Stage("loss", climb(Deviation()), _DENSE),
        Stage("more steps", more, _DENSE),
        smallest,
        Stage("other starts", starts, ("classification",), norms=("l1",)),
        search,
    )
    return Cascade(threat, stages, run_to_end)
