"""The search for the worst artefact of each image: random draws, evolution, gradient, and the severity that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Scene
from palpate.artefacts.parameter import free, theta_at
from palpate.artefacts.search.best import Best
from palpate.artefacts.search.draws import random_points
from palpate.artefacts.search.evolution import Points, evolve
from palpate.artefacts.search.found import Draws, Found, Worst
from palpate.artefacts.search.ladder import USUAL, Ladder
from palpate.artefacts.search.polish import polish, why_blocked
from palpate.artefacts.search.questions import Answers, Candidates, Questions
from palpate.artefacts.search.severity import first_failing
from palpate.contracts import Limits, Task
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

Reading = Callable[[Tree, Tree], Sequence[Any]]
"""What is read of the outputs and targets of M candidates: M plain values, such as scores or a dictionary each."""


def search(
    artefact: Artefact,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Tree,
    scenes: Sequence[Scene],
    *,
    streams: Streams | torch.Generator | None = None,
    limits: Limits | None = None,
    ladder: Ladder = USUAL,
    read: Reading | None = None,
    batch: int = 32,
) -> Found:
    """Find the parameters at which an artefact harms each image most, inside `with victim:`.

    1. Scrambled Sobol points u in the unit cube of the parameters that are free, at the five named severities.
    2. The worst of k of them at the severity that is searched: the baseline.
    3. CMA-ES on the task's margin from the worst draw.
    4. Gradient steps from the best so far, kept only where the margin falls. Skipped for black boxes.
    5. Bisection for a severity that fails (see `Found.failing_severity`).

    If the artefact moves anatomy, annotations move along, and candidates that leave less than half of what is annotated
    in the image are not allowed. What is found for an image does not depend on the other images or on `batch`, if the
    model's answer does not. `artefact(images, theta, scene, streams=...)` with fresh streams of the same seeds makes
    the found images again.

    Sources: Sobol points scrambled after Owen (torch.quasirandom); CMA-ES after Hansen, arXiv:1604.00772 (package
    cmaes). That gradients alone do not find the worst rotation: Engstrom et al., arXiv:1712.02779.

    Args:
        artefact: what happens to the images.
        victim: the model, entered.
        task: what its outputs mean.
        images: (B, C, *spatial) in stored values; never written to.
        targets: their annotations.
        scenes: what is known of each image; bounds are those of the victim.
        streams: source of randomness, one stream per image.
        limits: stored steps, names of the samples and numbers of questions; other limits have no meaning here.
        ladder: questions per step.
        read: what to keep of each random draw.
        batch: images of one pass, at most.

    Raises:
        InputError: the artefact cannot act on an image, the task cannot read the outputs or targets, or anatomy moves
            where the goal names the wanted masks.
    """
    streams = Streams.of(streams, len(images))
    questions = Questions(artefact, victim, task, images, targets, scenes, streams, limits, batch)
    # After the artefact has taken its numbers, so that it can be applied again from the seeds alone.
    seeds = (streams.uniform((2,), torch.zeros(1, dtype=torch.float64)).cpu() * 2**31).long()
    clean_outputs, clean_margin, eligible = questions.clean()
    drawn = random_points(artefact, ladder.drawn(free(artefact.parameters)), seeds[:, 0].tolist())
    best = Best(images.detach(), clean_outputs, questions.targets, free(artefact.parameters))
    margin, readings = _draw(questions, drawn, best, ladder.severity, read)
    worst_of_k = best.copy()
    rows = (eligible & torch.isfinite(best.margin)).nonzero().flatten()
    starts = [_starts(drawn, margin, row, ladder.severity) for row in rows.tolist()]
    blocked = "no image can be searched" if not len(rows) else None
    if len(rows) and best.unit.shape[1]:
        evolve(questions, best, rows, starts, seeds[rows, 1].tolist(), ladder.severity, ladder.evolution,
               ladder.stop_at_success)  # fmt: skip
    if len(rows) and ladder.polish:
        blocked = why_blocked(questions) or polish(
            questions, best, rows, ladder.severity, ladder.polish, ladder.stop_at_success
        )
    _judge(questions, best, worst_of_k)
    failing, point = first_failing(
        questions, best, drawn, margin, rows[clean_margin[rows] > 0], ladder.severity, ladder.bisection
    )
    already = clean_margin <= 0
    failing = torch.where(already, 0.0, torch.where(eligible, failing, torch.inf))
    theta = theta_at(artefact.parameters, point, failing.clamp(max=ladder.severity))
    theta[already | ~torch.isfinite(failing)] = torch.nan
    shape = (len(images), sum(count for _, count in ladder.drawn(best.unit.shape[1])))
    return Found(
        eligible=eligible,
        clean_margin=clean_margin,
        clean_outputs=clean_outputs,
        draws=Draws(
            drawn.severity[: shape[1]],
            theta_at(artefact.parameters, drawn.unit, drawn.severity).reshape(*shape, len(artefact.parameters)),
            margin.reshape(shape),
            readings,
        ),
        severity=ladder.severity,
        worst_of_k=_worst(artefact, worst_of_k, clean_margin, ladder.severity),
        worst=_worst(artefact, best, clean_margin, ladder.severity),
        failing_severity=failing,
        failing_theta=theta,
        queries=questions.queries,
        backwards=questions.backwards,
        left=questions.left,
        non_finite=questions.non_finite & eligible,
        blocked=blocked,
    )


def _draw(questions: Questions, drawn: Candidates, best: Best, severity: float,
          read: Reading | None) -> tuple[Tensor, tuple[tuple[Any, ...], ...]]:  # fmt: skip
    """Margins of all draws (N,), and what is read of them per image; the worst at `severity` are entered in `best`."""
    margin = torch.full((len(drawn.rows),), torch.inf, dtype=torch.float64)
    readings: list[list[Any]] = [[] for _ in best.margin]
    values: dict[int, Any] = {}
    for answers in questions.answers("draws", drawn, questions.victim.judge):
        margin[answers.places] = answers.margin
        here = drawn.severity[answers.places] == severity
        best.note(answers._replace(margin=answers.margin.where(here, torch.inf)), 1)
        if read is not None:
            values.update(zip(answers.places.tolist(), read(answers.outputs, answers.targets), strict=True))
    for place, row in enumerate(drawn.rows.tolist()):
        readings[row].append(values.get(place))
    return margin, tuple(tuple(row) for row in readings)


def _starts(drawn: Candidates, margin: Tensor, row: int, severity: float) -> Points:
    """The draws (K, F) of one image at the severity that is searched, the worst first."""
    places = ((drawn.rows == row) & (drawn.severity == severity) & torch.isfinite(margin)).nonzero().flatten()
    order = places[margin[places].argsort(stable=True)]
    points: Points = drawn.unit[order].numpy()
    return points


def _judge(questions: Questions, best: Best, worst_of_k: Best) -> None:
    """Where the search is not exact, the model as given judges what it found; it stays only if that is worse still."""
    rows = (best.step > 1).nonzero().flatten()
    if questions.victim.exact or not len(rows):
        return
    task, device = questions.task, best.images.device
    step, unit, images = best.step[rows], best.unit[rows], best.images[rows]
    targets = task.take(best.targets, rows.to(device))
    outputs = questions.sent("judge", rows, images, questions.victim.judge)
    margin, soft = (read(outputs, targets).double().cpu() for read in (task.margin, task.soft_score))
    best.restore(rows, worst_of_k)
    better = best.note(Answers(rows, rows, unit, images, outputs, targets, margin, soft), 2)
    best.step[rows[better]] = step[better]


def _worst(artefact: Artefact, best: Best, clean_margin: Tensor, severity: float) -> Worst:
    """What is returned; the clean image where no draw could be judged."""
    judged = best.step > 0
    theta = theta_at(artefact.parameters, best.unit, torch.where(judged, severity, 0.0))
    margin = torch.where(judged, best.margin, clean_margin)
    return Worst(theta, margin, best.images, best.outputs, best.targets, best.step)
