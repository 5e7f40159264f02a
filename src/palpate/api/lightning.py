"""`palpate.RobustnessCallback`: robust accuracy of the validation images at the end of each epoch, for Lightning."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from palpate.api.score import RobustScore
from palpate.errors import InputError

_LIBRARIES = ("lightning.pytorch", "pytorch_lightning")


def _base() -> type:
    """The Callback of the Lightning that is in use: the one that was imported, else one that is installed."""
    for name in (*(one for one in _LIBRARIES if one in sys.modules), *_LIBRARIES):
        try:
            found: type = import_module(name).Callback
        except ImportError:
            continue
        return found
    return object


class RobustnessCallback(_base()):  # type: ignore[misc]
    """Attacks the first validation images of every epoch, and logs `robust_accuracy`.

        trainer = Trainer(callbacks=[palpate.RobustnessCallback(eps="2/255", attacks="pgd", steps=10, images=64)])

    Import Lightning first, as `lightning` or as `pytorch_lightning`: the callback then is one of that library. Neither
    is needed to import palpate. It ran in a trainer of Lightning 2.6; the tests use a stand-in that calls its hooks.

    With several budgets, each is logged under a name of its own, `robust_accuracy_8/255`. Validation runs without
    gradients; the attack switches them on for itself. The module is called as in validation, `module(images)`, so its
    `forward` has to return logits. Images are kept until the epoch ends.

    Args:
        eps: as in `palpate.evaluate`.
        attacks: as in `palpate.evaluate`.
        images: number of validation images to attack, the first ones.
        every: attack only every so many epochs.
        name: what is logged.
        settings: other arguments of `palpate.evaluate`, and parameters of the attacks.

    Raises:
        InputError: an argument cannot be used; at the end of an epoch: images, labels or module cannot be used.
    """

    def __init__(
        self,
        eps: Any = None,
        attacks: Any = "pgd",
        *,
        images: int = 64,
        every: int = 1,
        name: str = "robust_accuracy",
        **settings: Any,
    ):
        if images < 1 or every < 1:
            raise InputError(f"images: {images}, every: {every}; both must be at least 1.")
        self.metric = RobustScore(eps, attacks, **settings)
        self.images, self.every, self.name = images, every, name
        self._kept: list[tuple[Any, Any]] = []

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Forget the images of the epoch before."""
        self._kept = []

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the images of a batch, until there are enough; of the first loader."""
        missing = self.images - sum(len(x) for x, _ in self._kept)
        if missing > 0 and dataloader_idx == 0 and self._due(trainer):
            x, y = _pair(batch)
            self._kept.append((x[:missing], y[:missing]))

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Attack the kept images and log the figures; not in the sanity check before the training."""
        kept, self._kept = self._kept, []
        if not kept:
            return
        self.metric.reset()
        for x, y in kept:
            self.metric.update(pl_module, x, y)
        table = self.metric.table()
        self.metric.reset()
        for row in table.worst:
            name = self.name if len(table.worst) == 1 else f"{self.name}_{table.amount(row.eps)}"
            pl_module.log(name, row.robust_accuracy, sync_dist=True, batch_size=row.images)

    def _due(self, trainer: Any) -> bool:
        checking = getattr(trainer, "sanity_checking", False)
        return not checking and getattr(trainer, "current_epoch", 0) % self.every == 0


def _pair(batch: Any) -> tuple[Any, Any]:
    from palpate.api.batches import batches

    if isinstance(batch, (list, tuple)) and len(batch) != 2:
        raise InputError(f"RobustnessCallback: a batch has {len(batch)} parts. It reads batches of images and labels.")
    found = next(batches(batch if isinstance(batch, Mapping) else [tuple(batch)]))
    return found.images, found.targets
