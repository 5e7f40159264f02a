"""`palpate.evaluate`: how robust a model is, in one call over a loader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palpate.api.batches import batches, bounds_of, device_of, is_shuffled, plain
from palpate.api.bench import Bench
from palpate.api.beside import Rows
from palpate.api.setting import Setting
from palpate.api.table import Table
from palpate.contracts import Task, Threat
from palpate.errors import InputError
from palpate.models.source import Outputs
from palpate.victim import Defence, Inferer, Victim


def evaluate(
    model: nn.Module | Victim | Callable[[Tensor], Any],
    data: Any,
    targets: Any = None,
    *,
    attacks: Any = "strongest",
    eps: float | str | Sequence[float | str] | None = None,
    norm: str = "linf",
    threat: Callable[[float], Threat] | None = None,
    task: Task | str | None = None,
    loss: Callable[..., Any] | None = None,
    bounds: tuple[float, float] | None = None,
    unit: str | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    inferer: Inferer | None = None,
    defences: Sequence[Defence] = (),
    outputs: Outputs | None = None,
    output: str | int | None = None,
    inputs: Mapping[str, Any] | Sequence[str] | None = None,
    groups: Sequence[object] | None = None,
    batch: int = 64,
    limit: int | None = None,
    seed: int = 0,
    **parameters: Any,
) -> Table:
    """Attack a model on all images of a loader, and return the figures as a table.

        table = palpate.evaluate(model, loader, attacks=["pgd", "apgd-margin"], eps=["2/255", "8/255"])
        print(table)
        table.robust_accuracy("8/255")       # the worst case over the attacks
        table.to_pandas(), table.plot()

        def shift(model, x, y, eps):         # an attack of your own
            return x + eps
        palpate.evaluate(model, images, labels, attacks=["strongest", shift], eps="8/255")

    Figures and intervals are computed as in an audit. A loader is read once, and every attack runs on one batch before
    the next one is read, so that memory does not grow with the number of images.

    Args:
        model: returns logits; a module, a function, or a `Victim`. It is used in evaluation mode, and its mode is
            restored. Images are moved to where its weights are.
        data: images (B, C, *spatial) with `targets`, as tensors or arrays; or a DataLoader, a Dataset, or anything that
            gives pairs of images and labels, or dicts with "image" and "label". A batch may also be images, labels and
            a dict of what the model is given besides images.
        targets: labels of the images, if `data` is images: integer classes, or what `task` expects.
        attacks: a name (`palpate list attacks`), an attack, a function `(model, x, y, eps)` that returns changed
            images, `("pgd", {"steps": 20})`, or a list or dict of them. `strongest` has no parameters to choose.
        eps: one budget or several, in the units of the images, as a share of their range ("8/255") or in their unit
            ("5 HU").
        norm: `linf`, `l2` or `l1`.
        threat: a function of a radius that makes the threat, instead of `norm`.
        task: what the outputs mean: by default classes; "segmentation", "multilabel", or a task such as
            `palpate.tasks.segmentation.Segmentation(2)`.
        loss: `loss(outputs, labels)`, which gradient attacks increase instead of the task's own loss.
        bounds: lowest and highest value that an image can store; by default (0, 255) for bytes, (0, 1) for floating
            point.
        unit: unit of the values, such as "HU"; with a lowest value of -900 or less it is HU by default.
        preprocess: differentiable map from stored values to the model's input: normalisation belongs here.
        inferer: how the model is evaluated on whole images: sliding windows, flips.
        defences: what surrounds the model, as in `palpate.attack`.
        outputs: `logits`, or probabilities of a `softmax` or a `sigmoid`.
        output: for a model that returns a dict, a tuple or a list: name or place of the output to use.
        inputs: what the model is called with besides images, by name: one row for each image, in order, as a dict; or,
            for a loader of dicts, its keys. Images with different inputs are never shown to the model together.
        groups: of each image, in order, its patient; intervals are then by patient.
        batch: images that are attacked at once.
        limit: number of images to use, the first ones; all by default.
        seed: makes random attacks repeatable; the random numbers of an image do not depend on `batch`.
        parameters: parameters of the attacks that are given by name, for example steps=20: each that has such a
            parameter gets it.

    Returns:
        One row per attack and budget, and the worst case: `Table`.

    Raises:
        InputError: images, labels, model or parameters cannot be used; the text says what to fix.
    """
    setting = Setting(
        attacks, eps, norm, threat, task, loss, bounds, unit, preprocess, inferer, defences, outputs, output, batch,
        seed, parameters,
    )  # fmt: skip
    _require_order(model, data)
    if limit is not None and limit < 1:
        raise InputError(f"limit: {limit} must be at least 1.")
    if groups is not None and is_shuffled(data):
        raise InputError(
            "groups: the loader gives its images in random order, so groups cannot be matched to them. Give a "
            "DataLoader with shuffle=False."
        )
    named = None if groups is None else [str(group) for group in groups]
    given = Rows.of(inputs, data)
    bench: Bench | None = None
    with torch.inference_mode(False), torch.enable_grad():
        for one in batches(data, targets, batch, given.keys):
            images = plain(one.images, one.targets)
            further = given.of_batch(one.inputs, 0 if bench is None else bench.count, len(images))
            bench = bench or Bench(model, setting, bounds or bounds_of(images), device_of(model), inputs=tuple(further))
            bench.add(images, one.targets, named, None if limit is None else limit - bench.count, further)
            if limit is not None and bench.count >= limit:
                break
        assert bench is not None
        if limit is None and named is not None and len(named) > bench.count:
            raise InputError(f"groups: there are {len(named)}, and {bench.count} images. Give one for each image.")
        if limit is None:
            given.require_all(bench.count)
        return bench.table()


def _require_order(model: Any, data: Any) -> None:
    """Refuse a loader or images in place of the model; raises InputError."""
    if not (callable(model) or isinstance(model, Victim)) or isinstance(model, Tensor):
        raise InputError(f"model: it is of type {type(model).__name__}. Give the model first, then images and labels.")
    if data is None:
        raise InputError("data: it is None. Give images and labels, or a loader.")
