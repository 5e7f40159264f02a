"""Checks of a model's masks and of annotated ones, before anything is attacked."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.tasks.masks.reading import Annotation
from palpate.tasks.output_checks import require_scores


def check_labels(truth: Annotation) -> None:
    """Raise InputError if labels are not masks of this task: their type, shape, values, spacing."""
    labels = truth.labels
    if labels.dtype != torch.int64:
        raise InputError(f"masks: they are {labels.dtype}, not int64 labels.")
    if labels.ndim < (3 if truth.exclusive else 4):
        form = "[B, *spatial]" if truth.exclusive else f"[B, {truth.structures}, *spatial]"
        raise InputError(f"masks: their shape is {list(labels.shape)}, and this task reads {form}.")
    if not truth.exclusive and labels.shape[1] != truth.structures:
        raise InputError(
            f"masks: they have {labels.shape[1]} structures, and task.structures says {truth.structures}. Correct one."
        )
    _check_values("masks", labels, truth)
    if truth.wanted is not None:
        if truth.wanted.shape != labels.shape or truth.wanted.dtype != torch.int64:
            raise InputError(
                f"wanted masks: they are {truth.wanted.dtype} of shape {list(truth.wanted.shape)}, and the annotated "
                f"ones int64 of shape {list(labels.shape)}; both must be the same."
            )
        _check_values("wanted masks", truth.wanted, truth)
    _check_spacing(truth)


def check_outputs(outputs: Tensor, truth: Annotation, resample: bool) -> None:
    """Raise InputError if outputs are not logits of this task on the grid of the masks."""
    require_scores(outputs, len(truth.labels), "one map of scores per structure")
    widths = {truth.structures + 1, 1} if truth.exclusive and truth.structures == 1 else {_width(truth)}
    count = len(truth.labels)
    if outputs.ndim != 2 + len(truth.spatial) or outputs.shape[1] not in widths or len(outputs) != count:
        shape = ", ".join(map(str, truth.spatial))
        kind = "a background and exclusive" if truth.exclusive else "overlapping"
        stacked = outputs.ndim == 3 + len(truth.spatial) and outputs.shape[2] in widths
        scales = f" If it stacks {outputs.shape[1]} scales of deep supervision, read one: model.output = 0."
        raise InputError(
            f"model: its output has shape {list(outputs.shape)} for {count} masks, and {truth.structures} structures "
            f"({kind}) need [{count}, {' or '.join(map(str, sorted(widths)))}, {shape}]. Correct task.structures or "
            f"task.exclusive, or choose the model that fits.{scales if stacked else ''}"
        )
    if outputs.shape[2:] != truth.spatial and not resample:
        raise InputError(
            f"masks: they have {_size(truth.spatial)} pixels, and the model's output has {_size(outputs.shape[2:])}. "
            "Give masks of the output's size, or set task.resample = true: then the output is interpolated."
        )
    bad = (~torch.isfinite(outputs.flatten(1))).any(1).nonzero().flatten()
    if len(bad):
        raise InputError(
            f"model: its output is NaN or infinite for {len(bad)} of {count} images (first: row {int(bad[0])}). "
            "Check the preprocessing and the weights."
        )


def _width(truth: Annotation) -> int:
    return truth.structures + truth.exclusive


def _size(spatial: torch.Size) -> str:
    return " x ".join(map(str, spatial))


def _check_values(name: str, labels: Tensor, truth: Annotation) -> None:
    highest = truth.structures if truth.exclusive else 1
    outside = (labels < 0) | (labels > highest)
    if truth.ignore not in range(highest + 1):
        outside &= labels != truth.ignore
    if bool(outside.any()):
        row = int(outside.flatten(1).any(1).nonzero()[0])
        value = int(labels[row][outside[row]][0])
        raise InputError(
            f"{name}: row {row} has the value {value}, and the labels are 0 to {highest}, or {truth.ignore} for "
            "pixels that do not count. Map the values, or correct task.structures or task.ignore."
        )


def _check_spacing(truth: Annotation) -> None:
    if truth.spacing is None:
        return
    shape = (len(truth.labels), len(truth.spatial))
    if tuple(truth.spacing.shape) != shape:
        raise InputError(f"spacing: its shape is {list(truth.spacing.shape)}, and these masks need {list(shape)}.")
    good = truth.spacing.isfinite() & (truth.spacing > 0)
    if not bool(good.all()):
        row = int((~good).any(1).nonzero()[0])
        raise InputError(f"spacing: row {row} has {truth.spacing[row].tolist()} mm; every size must be above 0.")
