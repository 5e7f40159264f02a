"""What one attack has found so far: the best image of every sample, its cost, and the verdict of the model as given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.attacks.transforms import TransformedModel, merit, transformed_models
from palpate.contracts import AttackResult, Limits, Task, Threat
from palpate.tasks.saturation import Cooling
from palpate.tasks.screening import accepted
from palpate.tensors import Tree, all_above_zero, every, mapped, readable, still
from palpate.victim import Victim


class BestSoFar:
    """Keeps the image of smallest task margin per sample, or of best merit, and judges it.

    The attack's objective is never used for this: it contains the attack's own penalties. Once a sample is beaten its
    image is fixed, unless `keep_improving`, so the outcome does not depend on how soon the loop notices.

    Attributes:
        unsettled: whether a sample may have been beaten since `settle` was last called.
        judges: images are scored and judged; False in a stand-in for attacks that only craft images for training.

    Raises:
        InputError: images outside the bounds, or outputs and targets that the task cannot read.
    """

    judges = True

    def __init__(
        self,
        victim: Victim,
        task: Task,
        threat: Threat,
        images: Tensor,
        targets: Tree,
        keep_improving: bool = False,
        limits: Limits | None = None,
    ):
        self.victim, self.task, self.targets = victim, task, targets
        self.images = images.detach()
        self.space = threat.around(self.images, victim.bounds, limits)
        self.limits, self.queries = limits, None if limits is None else limits.queries
        count = len(images)
        self.clean_outputs = self.ask(torch.arange(count, device=images.device), self.images)
        task.validate(self.clean_outputs, targets)
        self.clean_margin = task.margin(self.clean_outputs, targets)
        self.eligible = task.eligible(targets) & (self.clean_margin > 0)
        # What is clean is not copied before something better is found: of a volume, that is much memory.
        self.best, self.outputs, self._copied = self.images, self.clean_outputs, False
        self.best_margin = self.clean_margin.clone()
        self.best_merit = torch.full_like(self.clean_margin, torch.inf)
        self.beaten = torch.zeros_like(self.eligible)
        self.first_success = torch.full((count,), -1, device=images.device)
        self.forwards = torch.ones(count, dtype=torch.int64, device=images.device)
        self.backwards = torch.zeros_like(self.forwards)
        self.zero_gradient = torch.zeros_like(self.eligible)
        self.blocked_gradient = torch.zeros_like(self.eligible)
        self.non_finite = torch.zeros_like(self.eligible)
        self._keep_improving = keep_improving
        # Whether the module itself must still judge `best`; an exact search has judged it already.
        self._unjudged = torch.zeros_like(self.eligible)
        self.unsettled = self._some_beaten = False
        self._looked_up: Tensor | None = None
        self._all = False

    @cached_property
    def cooling(self) -> Cooling:
        """How outputs are read where an attack climbs them, for all samples."""
        return Cooling.of(self.task, self.clean_outputs, self.targets)

    def open_rows(self) -> Tensor:
        """Rows that are worth attacking: eligible, and not beaten unless the attack keeps improving."""
        return (self.eligible & (~self.beaten | self._keep_improving)).nonzero().flatten()

    def affordable(self, rows: Tensor, cost: int = 1) -> Tensor:
        """Which of `rows` may ask the model `cost` more times (B,) bool; all of them without a limit on queries."""
        if self.queries is None:
            return torch.ones_like(self.eligible[rows])
        return self.forwards[rows] + cost <= self.queries.to(self.forwards)[rows]

    def ask(self, rows: Tensor, images: Tensor) -> Tree:
        """Outputs of the module as given for images of some rows; a row may occur several times."""
        with self.asking(rows):
            return self.victim.judge(images)

    @contextmanager
    def asking(self, rows: Tensor) -> Iterator[None]:
        """Inside this block, the model is asked about images of these rows, in their order."""
        samples = None if self.limits is None else self.limits.samples
        if samples is not None:
            self.victim.samples = samples[rows.to(samples.device)]
        try:
            yield
        finally:
            self.victim.samples = None

    def note(
        self,
        rows: Tensor,
        images: Tensor,
        outputs: Tree,
        margin: Tensor,
        step: int | Tensor,
        *,
        judged: bool = False,
        merit: Tensor | None = None,
    ) -> None:
        """Enter one scored image of `rows`, scored by the search or, if `judged`, by the module as given.

        `images` are those that the model saw. With a `merit` (B,) the image of lowest merit is kept among those
        that win, and that of smallest margin until one does. Never waits for the device.
        """
        images, outputs, margin = still(images), mapped(still, outputs), still(margin)
        held, beaten = self._of(self.best_margin, rows), self._of(self.beaten, rows)
        better = margin < held
        if self._some_beaten and not self._keep_improving:
            better &= ~beaten
        # An image that a detector rejects shows nothing: only answered ones are kept.
        answered = accepted(outputs)
        if merit is not None:
            # A transformed image that cannot be scored is the worst case.
            merit = merit.detach().nan_to_num(nan=torch.inf).to(self.best_merit.dtype)
            preferred = (held > 0) | (merit < self.best_merit[rows])
            better = torch.where(margin <= 0, preferred & (~beaten | self._keep_improving), better)
            self.best_merit[rows] = torch.where(better, merit, self.best_merit[rows])
        if answered is not None:
            better &= answered
        self._keep(rows, better, images, outputs, margin)
        if not self.victim.exact:
            unjudged = self._of(self._unjudged, rows)
            self._write(self._unjudged, rows, unjudged & ~better if judged else unjudged | better)
        if not all_above_zero(margin):
            # An iterate that cannot be scored is never better: comparisons with NaN are false.
            self.unsettled = self._some_beaten = True
            self.non_finite[rows] |= ~torch.isfinite(margin)
            fresh = (margin <= 0) & ~beaten
            self.beaten[rows] |= fresh
            self.first_success[rows] = torch.where(fresh, step, self.first_success[rows])

    def spend(self, rows: Tensor, forwards: int, backwards: int) -> None:
        """Add the passes of one step to every one of `rows`."""
        self._write(self.forwards, rows, self._of(self.forwards, rows) + forwards)
        self._write(self.backwards, rows, self._of(self.backwards, rows) + backwards)

    def settle(self, rows: Tensor) -> Tensor:
        """Positions within `rows` that continue. A success that the module as given does not confirm is withdrawn."""
        self.unsettled = False
        if not self.victim.exact:
            self._confirm(rows[self.beaten[rows] & self._unjudged[rows]])
        return (~self._of(self.beaten, rows)).nonzero().flatten()

    def close(self) -> AttackResult:
        """The result, with every returned image judged by the module as given."""
        if not self.victim.exact:
            self._confirm(self._unjudged.nonzero().flatten())
        self._copy_clean()
        success = self.eligible & (self.best_margin <= 0)
        return AttackResult(
            images=self.best,
            margin=self.best_margin,
            clean_margin=self.clean_margin,
            eligible=self.eligible,
            success=success,
            prediction=self.task.predict(self.outputs),
            clean_prediction=self.task.predict(self.clean_outputs),
            outputs=self.outputs,
            clean_outputs=self.clean_outputs,
            first_success=torch.where(success, self.first_success, -1),
            distance=self.space.size(self.best),
            forwards=self.forwards,
            backwards=self.backwards,
            zero_gradient=self.zero_gradient,
            blocked_gradient=self.blocked_gradient,
            non_finite=self.non_finite,
        )

    def _keep(self, rows: Tensor, better: Tensor, *new: Tree) -> None:
        """Keep images, outputs and margins of those of `rows` that are better."""
        # On a CPU, reading the flags costs nothing; copying images that are not better does.
        flags = better.tolist() if readable(better) else None
        if flags is not None and not any(flags):
            return
        self._copy_clean()
        kept = (self.best, self.outputs, self.best_margin)
        if flags is None:
            mapped(lambda old, one: _replace(old, rows, better, one), kept, new)
        elif all(flags) and self._are_all(rows):
            mapped(Tensor.copy_, kept, new)
        else:
            chosen = better.nonzero().flatten()
            places, some = rows[chosen], not all(flags)
            mapped(lambda old, one: old.index_copy_(0, places, (one[chosen] if some else one).to(old.dtype)), kept, new)

    def _copy_clean(self) -> None:
        """From now on, the best images and outputs may be written to."""
        if not self._copied:
            self.best, self.outputs = self.best.clone(), mapped(Tensor.clone, self.outputs)
            self._copied = True

    def _are_all(self, rows: Tensor) -> bool:
        """Whether these are all samples in their order; looked up once for each tensor of rows."""
        if rows is not self._looked_up:
            self._looked_up, self._all = rows, every(rows, len(self.beaten))
        return self._all

    def _of(self, kept: Tensor, rows: Tensor) -> Tensor:
        return kept if self._are_all(rows) else kept[rows]

    def _write(self, kept: Tensor, rows: Tensor, values: Tensor) -> None:
        if self._are_all(rows):
            kept.copy_(values)
        else:
            kept[rows] = values

    def _confirm(self, rows: Tensor) -> None:
        if not len(rows):
            return
        self._copy_clean()
        outputs = self.ask(rows, self.best[rows])
        margin = self.task.margin(outputs, self.task.take(self.targets, rows))
        self.forwards[rows] += 1
        mapped(lambda kept, new: kept.index_copy_(0, rows, new), self.outputs, outputs)
        self.best_margin[rows] = margin
        self.beaten[rows] = margin <= 0
        self.first_success[rows] = torch.where(margin <= 0, self.first_success[rows], -1)
        self._unjudged[rows] = False


def _replace(kept: Tensor, rows: Tensor, better: Tensor, new: Tensor) -> None:
    """Write into `kept` those of `rows` that are better, without reading which they are."""
    kept[rows] = torch.where(better.reshape(-1, *[1] * (new.ndim - 1)), new.to(kept.dtype), kept[rows])


def try_images(best_so_far: BestSoFar, rows: Tensor, images: Tensor, models: Sequence[TransformedModel] = ()) -> None:
    """Score given images (projected onto the threat, delivered) before the first step; what they beat is finished."""
    if not len(rows):
        return
    space = best_so_far.space.take(rows)
    models = models or transformed_models(best_so_far.victim)
    candidates = space.to_image(space.project(images[rows].detach()))
    with best_so_far.asking(rows):
        score(best_so_far, rows, best_so_far.task.take(best_so_far.targets, rows), candidates, models, 0)
    best_so_far.spend(rows, len(models), 0)
    best_so_far.settle(rows)


def score(
    best_so_far: BestSoFar,
    rows: Tensor,
    targets: Tree,
    shown: Tensor,
    models: Sequence[TransformedModel],
    step: int,
    counts: bool = True,
) -> tuple[Tree, Tensor]:
    """Score images on every transform, without gradient, and note those that count: outputs and margins as given."""
    with torch.no_grad():
        outputs = models[0].score(shown)
        margins = [best_so_far.task.margin(outputs, targets)]
        margins += [best_so_far.task.margin(model.score(shown), targets) for model in models[1:]]
    if counts:
        best_so_far.note(rows, shown, outputs, margins[0], step, merit=merit(margins))
    return outputs, margins[0]


__getattr__ = renamed(__name__)
