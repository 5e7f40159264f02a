"""Whether the images and structures of a plan are those of its nnU-Net folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from palpate.audit.plan.sections.tasks import SegmentationSection
from palpate.data.cases import listed
from palpate.data.formats.scan import Header
from palpate.data.json_file import read_json
from palpate.errors import InputError
from palpate.models.nnunet.folder import Trained, channel_names, read_trained

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_SCANNER = ("NIfTI", "NRRD", "MetaImage")
"""Formats whose axes palpate keeps as the file has them, and nnU-Net's readers reverse."""
_LAYOUT = "nnunet"
"""The field of `[data]`; fields of layouts are made from their table."""
_PICTURE = ("PNG", "TIFF", "BMP")


def require_nnunet(plan: Plan, headers: Sequence[Header], names: Sequence[str]) -> None:
    """Refuse a task, channels or files that are not those of the model; plans without `model.nnunet` pass.

    Raises:
        InputError: one sentence with the difference and the fix.
    """
    model = plan.model
    if model.nnunet is None:
        return
    trained = read_trained(plan.root / model.nnunet, model.folds, model.checkpoint)
    _require_structures(plan, trained)
    _require_channels(plan, trained)
    known = _PICTURE if trained.reader == "picture" else _SCANNER
    for header, name in zip(headers, names, strict=True):
        if header.format not in known or (header.format != "NIfTI" and known == _SCANNER and len(header.shape) == 3):
            raise InputError(
                f"data: {name} is a {header.format}, and this nnU-Net reads {trained.dataset.ending}. Save the images "
                "in that format."
            )
        if header.shape[0] != len(trained.channels):
            raise InputError(
                f"data: {name} has {header.shape[0]} channels, and this nnU-Net was trained on {len(trained.channels)}:"
                f" {listed(trained.channels)}. Give these, in that order."
            )


def with_sizes(plan: Plan, headers: Sequence[Header]) -> tuple[Header, ...]:
    """Headers in which voxels of unknown size have 1 mm, as nnU-Net reads them; the plan's `data.spacing` comes first.

    Plans without `model.nnunet` get their headers back.
    """
    if plan.model.nnunet is None or plan.data.spacing is not None:
        return tuple(headers)
    return tuple(replace(one, spacing=(1.0,) * (len(one.shape) - 1)) if sizeless(one) else one for one in headers)


def sizeless(header: Header) -> bool:
    """Whether a file of a scanner does not give the size of a voxel."""
    return header.spacing is None and header.format in _SCANNER


def _require_structures(plan: Plan, trained: Trained) -> None:
    task, regions = plan.task, trained.dataset.regions
    if not isinstance(task, SegmentationSection):
        raise InputError(f"task.kind: an nnU-Net marks structures, and the task is {task.kind}. Set segmentation.")
    ours, theirs = tuple(task.names), trained.structures
    if ours != theirs:
        raise InputError(
            f"task.structures: {listed(ours)}, and the outputs of this nnU-Net are {listed(theirs)}. Give these names, "
            "in that order."
        )
    if regions == task.exclusive:
        what = "regions that overlap" if regions else "structures that do not overlap"
        raise InputError(
            f"task.exclusive: this nnU-Net marks {what}. Set task.exclusive = {'false' if regions else 'true'}."
        )


def _require_channels(plan: Plan, trained: Trained) -> None:
    """Names of channels are known only where the images are an nnU-Net dataset too."""
    place: str | None = getattr(plan.data, _LAYOUT)
    if place is None:
        return
    path = plan.root / place / "dataset.json"
    ours = channel_names(read_json(path))
    if ours != trained.channels:
        raise InputError(
            f"data.nnunet: {path} names the channels {listed(ours)}, and this nnU-Net was trained on "
            f"{listed(trained.channels)}. Give the dataset of its training, or one with its channels in its order."
        )
