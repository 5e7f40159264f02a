"""`palpate.RobustScore`: robust accuracy as a metric that is updated batch by batch, as those of torchmetrics are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from palpate.api.batches import bounds_of, device_of, plain
from palpate.api.bench import Bench
from palpate.api.columns import table_of
from palpate.api.setting import Setting
from palpate.api.table import Table
from palpate.api.tasks import require_structures
from palpate.errors import InputError
from palpate.storage.frames import Frame


def _base() -> type:
    """The Metric of torchmetrics where that is installed."""
    try:
        from torchmetrics import Metric
    except ImportError:
        return object
    found: type = Metric
    return found


class RobustScore(_base()):  # type: ignore[misc]
    """Robust accuracy of a model at one budget or several, the worst case over the attacks.

        metric = palpate.RobustScore(eps="2/255", attacks="pgd", steps=10)
        for x, y in loader:
            metric.update(model, x, y)
        metric.compute()                   # a tensor: robust accuracy
        metric.table()                     # with intervals, as palpate.evaluate returns it
        metric.reset()

    It has the methods of a torchmetrics metric and does not need torchmetrics; where that is installed, it is one. It
    attacks the model, so `update` takes the model. In a `MetricCollection` give all arguments by name, and each metric
    takes its own:

        found = MetricCollection({"clean": MulticlassAccuracy(5), "robust": palpate.RobustScore(eps="2/255")})
        found.update(preds=model(x), target=y, model=model, x=x, y=y)

    Args:
        eps: as in `palpate.evaluate`; with several budgets, `compute` gives one figure for each, smallest budget first.
        attacks: as in `palpate.evaluate`.
        settings: other arguments of `palpate.evaluate` (bounds, preprocess, task, loss, seed ...), and parameters of
            the attacks.

    Raises:
        InputError: an argument is unknown or cannot be used.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    def __init__(self, eps: Any = None, attacks: Any = "strongest", **settings: Any):
        super().__init__()
        known = {name: settings.pop(name) for name in [*settings] if name in Setting.__dataclass_fields__}
        if "parameters" in known:
            raise InputError("parameters: give the parameters of the attacks themselves, such as steps=20.")
        self.setting = Setting(attacks=attacks, eps=eps, **known, parameters=settings)
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        if isinstance(self, torch.nn.Module):
            super().reset()
        self._parts: list[Frame] = []
        self._bench: Bench | None = None
        # Inside a tuple, since the model is no part of a metric that is a module itself.
        self._model: tuple[Any] = (None,)

    def update(self, model: Any, x: Any, y: Any) -> None:
        """Attack a batch.

        Args:
            model: as in `palpate.evaluate`.
            x: images (B, C, *spatial) in stored values.
            y: their labels, or what the task expects.

        Raises:
            InputError: images, labels or model cannot be used.
        """
        self._add(model, x, y)

    def __call__(self, model: Any, x: Any, y: Any) -> Tensor:
        """Update, and the figure of this batch alone."""
        before = len(self._parts)
        # As torchmetrics does it in `update`: what was computed before is out of date.
        self._computed, self._update_count = None, getattr(self, "_update_count", 0) + 1
        bench = self._add(model, x, y)
        assert bench.task is not None
        return _figure(table_of(self._parts[before:], bench.task, bench.scale))

    forward = __call__

    def __repr__(self) -> str:
        count = 0 if self._bench is None else self._bench.count
        return f"RobustScore(eps={self.setting.eps!r}, attacks={self.setting.attacks!r}, {count} images)"

    def compute(self) -> Tensor:
        """Robust accuracy over all batches; a tensor without axes, or (number of budgets,)."""
        return _figure(self.table())

    def table(self) -> Table:
        """All figures with their intervals.

        Raises:
            InputError: there was no batch.
        """
        bench = self._bench
        if bench is None or bench.task is None:
            raise InputError("RobustScore: there was no batch. Call update(model, x, y) first.")
        require_structures(bench.task, bench.labels)
        return table_of(self._parts, bench.task, bench.scale, tuple(bench.notes))

    def to(self, *_: Any, **__: Any) -> RobustScore:
        """Itself: it computes where the model is, and keeps plain numbers."""
        return self

    def _add(self, model: Any, x: Any, y: Any) -> Bench:
        with torch.inference_mode(False), torch.enable_grad():
            x, given = plain(x, y), self.setting.bounds
            if self._bench is None or model is not self._model[0]:
                count = 0 if self._bench is None else self._bench.count
                self._bench = Bench(model, self.setting, given or bounds_of(x), device_of(model), count)
                self._model = (model,)
            bench = self._bench
            bench.add(x, y)
            self._parts += bench.parts
            bench.parts = []
            return bench


def _figure(table: Table) -> Tensor:
    figures = torch.tensor([row.robust_accuracy for row in table.worst])
    return figures[0] if len(figures) == 1 else figures
