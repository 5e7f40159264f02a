"""Do gradients describe how outputs change? The change that the gradient predicts, compared with the real one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import Limits, Task, Threat
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.saturation import Cooling
from palpate.tensors import Tree, spread
from palpate.victim import Victim

REACH, PAIRS, CELLS = 0.5, 8, (4, 8)


def agreement(
    victim: Victim, task: Task, images: Tensor, targets: Tree, threat: Threat, streams: Streams, limits: Limits | None
) -> float:
    """How much of the outputs' changes the gradient explains: 1 for a linear model, 0 or less for none of it.

        R = 1 - sum_u (d_u - p_u)^2 / sum_u d_u^2,    d_u = J(x + r u) - J(x - r u),    p_u = 2 r <grad J(x), u>

    over all images together, with u of +1 or -1 in cells, r u half a radius long, and J the margin of a classification
    or of findings, or the soft score of another task (of cooled outputs, as an attack climbs it). NaN where nothing
    changes the outputs. Call it inside `with victim:`.
    """
    space = threat.around(images, victim.bounds, limits)
    # Votes and draws of a defence differ between judge and search on purpose: the gradient is that of the search.
    look = victim.judge if all(defence.exact for defence in victim.defences) else victim.score
    place = images.detach().requires_grad_()
    cooling = Cooling.of(task, victim.judge(images), targets)
    gradient = victim.gradient(_value(task, cooling(victim.search(place)), targets), place)
    missed = total = 0.0
    count = images[0].numel()
    length = {"linf": 1.0, "l2": count**0.5, "l1": float(count)}[threat.norm]
    for pair in range(PAIRS):
        grid = [min(CELLS[pair % len(CELLS)], size) for size in images.shape[2:]]
        signs = streams.uniform((images.shape[1], *grid), images).sub(0.5).sign()
        change = F.interpolate(signs, size=images.shape[2:], mode="nearest") * spread(space.radius, images)
        up, down = (space.project(images + side * REACH / length * change) for side in (1.0, -1.0))
        real = _value(task, cooling(look(up)), targets) - _value(task, cooling(look(down)), targets)
        predicted = ((up - down) * gradient).flatten(1).sum(1)
        missed += float(((real - predicted).double() ** 2).nansum())
        total += float((real.double() ** 2).nansum())
    return 1 - missed / total if total else float("nan")


def _value(task: Task, outputs: Tree, targets: Tree) -> Tensor:
    if isinstance(task, (Classification, MultiLabel)):
        return task.margin(outputs, targets)
    return task.soft_score(outputs, targets)
