"""`[model.preprocess]` and `[model.inferer]` of a first plan, from what a MONAI bundle says about its deployment."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from palpate.audit.plan.artefacts import modality_of
from palpate.audit.plan.toml_words import CHECK, FILL_IN, path_of, plain
from palpate.audit.starter.values import numbers
from palpate.data.cases import listed
from palpate.data.formats.volumes import is_volume, read_volume_header
from palpate.data.inspect.annotated import FoundAnnotations
from palpate.data.inspect.folder import FoundClasses
from palpate.errors import InputError
from palpate.models.bundle import BundleFacts, bundle_facts
from palpate.models.bundles.transforms import BundleTransform, bundle_transforms, deployed_transforms
from palpate.preprocess import MonaiChain, blocked

_MOVES = ("Spacing", "Resize", "SpatialPad", "CenterSpatialCrop", "ResizeWithPadOrCrop", "CropForeground")
"""Transforms after which the network's grid is not that of the file."""
_MODES = {"area": "area", "bilinear": "linear", "trilinear": "linear", "linear": "linear", "bicubic": "cubic"}
_SIDE = 16
_MODALITIES = {"MRI": "MR", "ULTRASOUND": "US", "ENDOSCOPY": "ES", "XRAY": "DX", "X-RAY": "DX"}
"""How metadata write what DICOM has a code for."""


def bundle_lines(folder: Path, place: Path, layout: FoundClasses | FoundAnnotations) -> list[str]:
    """The lines of both tables; `[model.preprocess]` is already open.

    Args:
        folder: the bundle.
        place: the plan's own folder.
        layout: the images.
    """
    facts = bundle_facts(folder)
    transforms, doubts = _transforms(folder)
    doubts += _turned(transforms, layout)
    steps = [_step(one) for one in transforms if one.kind != "Orientation"]
    if all(step is not None for step in steps):
        written = [entry for step in steps if step is not None for entry in step]
        if _transposed(layout) and isinstance(layout, FoundClasses):
            written.insert(0, "{reorder = {axes = [1, 0]}}")
        said = f"{FILL_IN}: {'; '.join(doubts)}" if doubts else f"{CHECK}: the bundle's transforms, in its order"
        lines = [f"steps = [{', '.join(written)}]  # {said}"]
        lines.append(f"# monai = {path_of(folder, place)}  # instead of steps: exactly what MONAI computes")
    else:
        lines = _by_monai(folder, place, transforms, layout, doubts)
    lines += _notes(layout) + _said(facts)
    return lines + _inferer(facts)


def in_bundle_order(folder: Path, layout: FoundClasses | FoundAnnotations) -> FoundClasses | FoundAnnotations:
    """The layout with the names that the metadata give to the outputs, in their order, where they fit its masks."""
    names = bundle_facts(folder).classes
    if isinstance(layout, FoundClasses):
        if sorted(names) != sorted(layout.classes):
            return layout
        counts = dict(zip(layout.classes, layout.counts, strict=True))
        return replace(layout, classes=names, counts=tuple(counts[name] for name in names))
    if layout.kind != "masks" or not layout.exclusive or len(set(names)) < len(names) or len(names) < 2:
        return layout
    # Masks have values and no names; output 0 is the background.
    alone = len(layout.values) == 1 and len(names) == 2
    same = alone or tuple(layout.values) == tuple(range(1, len(names)))
    return replace(layout, names=names[1:]) if same else layout


def bundle_modality(folder: Path) -> str:
    """The kind of the images by the metadata, as `data.modality` has it; empty if they do not say it."""
    said = bundle_facts(folder).modality.strip().upper()
    return modality_of(None, [_MODALITIES.get(said, said)], "")


def changes_grid(folder: Path) -> bool:
    """Whether a bundle's network sees another grid than that of the files, so that outputs are brought back."""
    return any(one.kind in _MOVES for one in _transforms(folder)[0])


def _transforms(folder: Path) -> tuple[tuple[BundleTransform, ...], list[str]]:
    """The transforms; or none, and why their list cannot be read."""
    try:
        return bundle_transforms(folder), []
    except InputError as error:
        return (), [plain(str(error))]


def _by_monai(
    folder: Path,
    place: Path,
    transforms: tuple[BundleTransform, ...],
    layout: FoundClasses | FoundAnnotations,
    doubts: list[str],
) -> list[str]:
    """The transforms themselves, where a plan has no steps for one of them; what blocks gradients is named."""
    strange = listed([one.name for one in transforms if one.kind != "Orientation" and _step(one) is None])
    asked, through = list(doubts), "# straight_through = true  # passes gradients through a transform that blocks them"
    try:
        chain = MonaiChain(folder.name, compose=deployed_transforms(folder))
        if found := blocked(chain, _example(layout)):
            named = "; ".join(f"{one.step} blocks gradients ({one.why})" for one in found)
            through = f"straight_through = true  # {CHECK}: {plain(named)}: attacks may be weaker than they could be"
    except InputError as error:
        asked.append(str(error))
    said = f"{FILL_IN}: {plain('; '.join(asked))}" if asked else f"{CHECK}: a plan has no steps for {plain(strange)}"
    return [f"monai = {path_of(folder, place)}  # {said}", through]


def _example(layout: FoundClasses | FoundAnnotations) -> Any:
    import torch

    channels, *sides = layout.form.shape
    draws = torch.Generator().manual_seed(0)
    return torch.rand(2, channels, *(_SIDE for _ in sides), generator=draws)


def _turned(transforms: tuple[BundleTransform, ...], layout: FoundClasses | FoundAnnotations) -> list[str]:
    """What keeps the files from the orientation that the bundle gives them, in a sentence."""
    wanted = next((str(one.arguments.get("axcodes")) for one in transforms if one.kind == "Orientation"), None)
    paths = [path for path in layout.seen.paths if is_volume(path)] if layout.seen is not None else []
    if wanted is None or not paths:
        return []
    found = sorted({_axes(read_volume_header(path).affine) for path in paths})
    if found == [wanted]:
        return []
    return [
        f"the bundle turns images to {wanted}, and these are {listed(found)}: save images and masks so (nibabel's "
        "as_reoriented), because outputs are not turned back"
    ]


def _axes(affine: Any) -> str:
    """Where the axes of a grid lead, such as `RAS`."""
    from nibabel.orientations import aff2axcodes

    return "".join(map(str, aff2axcodes(affine)))  # type: ignore[no-untyped-call]


def _transposed(layout: FoundClasses | FoundAnnotations) -> bool:
    """Whether MONAI reads the images with x first and palpate with y first: those of photographs."""
    return layout.seen is not None and len(layout.form.shape) == 3 and not is_volume(layout.seen.first)


def _notes(layout: FoundClasses | FoundAnnotations) -> list[str]:
    if not _transposed(layout) or isinstance(layout, FoundClasses):
        return []
    return [
        "# MONAI reads PNG and JPEG with x first, palpate with y first: a network that was trained so sees the images "
        "transposed here"
    ]


def _said(facts: BundleFacts) -> list[str]:
    """What the metadata say about the input, for the user to compare."""
    said = [f"{facts.channels} channels"] if facts.channels else []
    said += [f"size {list(facts.size)}"] if facts.size else []
    said += [f"values from {facts.values[0]:g} to {facts.values[1]:g}"] if facts.values else []
    said += [f"outputs {', '.join(facts.classes)}"] if facts.classes else []
    if not said:
        return ["# The bundle has no network_data_format in metadata.json: channels and classes cannot be compared"]
    return [f"# The bundle's metadata: {plain('; '.join(said))}"]


def _inferer(facts: BundleFacts) -> list[str]:
    if not facts.window:
        return []
    lines = ["", f"[model.inferer]  # {CHECK}: from the bundle's inference configuration"]
    lines += [f"size = {list(facts.window)}", f"overlap = {facts.overlap:g}"]
    lines += [f'mode = "{facts.mode}"'] if facts.mode in ("gaussian", "constant") else []
    return lines + ([f'padding = "{facts.padding}"'] if facts.padding else [])


# -- steps ---------------------------------------------------------------------------------------------------------


def _step(one: BundleTransform) -> list[str] | None:
    """The steps of a plan that compute the same; None if there are none."""
    writer = _STEPS.get(one.kind)
    if writer is None or set(one.code) - {"dtype", "device", "meta_keys"}:
        return None
    try:
        return writer(one.arguments)
    except (TypeError, ValueError, KeyError):
        return None


def _flag(given: Mapping[str, Any], name: str) -> bool:
    return given.get(name) in (True, "True", "true")  # wholeBrainSeg writes "True"


def _range(given: Mapping[str, Any]) -> list[str] | None:
    low, high = float(given["a_min"]), float(given["a_max"])
    first, last = given.get("b_min"), given.get("b_max")
    first, last = (0.0, 1.0) if first is None or last is None else (float(first), float(last))
    if not _flag(given, "clip"):
        slope = (last - first) / (high - low)
        return [_rescale(slope, first - low * slope)]
    return [f"{{window = {numbers((low, high))}}}", *_mapped(first, last)]


def _mapped(first: float, last: float) -> list[str]:
    """From 0..1 to another range."""
    return [] if (first, last) == (0.0, 1.0) else [_rescale(last - first, first)]


def _rescale(slope: float, intercept: float) -> str:
    return f"{{rescale = {{slope = {slope!r}, intercept = {intercept!r}}}}}"


def _intensity(given: Mapping[str, Any]) -> list[str] | None:
    if given.get("factor") is not None or given.get("minv", 0.0) is None:
        return None
    return [_own("minmax", given), *_mapped(float(given.get("minv", 0.0)), float(given.get("maxv", 1.0)))]


def _normal(given: Mapping[str, Any]) -> list[str] | None:
    mean, std = given.get("subtrahend"), given.get("divisor")
    if mean is None and std is None:
        return [_own("zscore", given, nonzero=_flag(given, "nonzero"))]
    if mean is None or std is None or _flag(given, "nonzero"):
        return None
    pairs = [one if isinstance(one, list) else [one] for one in (mean, std)]
    return [f"{{normalise = {{mean = {numbers(pairs[0])}, std = {numbers(pairs[1])}}}}}"]


def _percentiles(given: Mapping[str, Any]) -> list[str] | None:
    if not _flag(given, "clip") or _flag(given, "relative") or given.get("b_min") is None:
        return None
    limits = f", low = {float(given['lower'])!r}, high = {float(given['upper'])!r}"
    return [_own("percentile", given, more=limits), *_mapped(float(given["b_min"]), float(given["b_max"]))]


def _own(how: str, given: Mapping[str, Any], *, nonzero: bool = False, more: str = "") -> str:
    zeros = ", nonzero = true" if nonzero else ""
    each = ", channelwise = true" if _flag(given, "channel_wise") else ""
    return f"{{per_image = {{how = {json.dumps(how)}{more}{zeros}{each}}}}}"


def _resize(given: Mapping[str, Any]) -> list[str] | None:
    mode = _MODES.get(str(given.get("mode", "area")))
    size = _sizes(given["spatial_size"])
    if mode is None or given.get("size_mode", "all") != "all" or _flag(given, "align_corners"):
        return None
    return [
        f'{{resize = {{size = {size}, mode = "{mode}", antialias = {str(_flag(given, "anti_aliasing")).lower()}}}}}'
    ]


def _spacing(given: Mapping[str, Any]) -> list[str] | None:
    if str(given.get("mode", "bilinear")) not in ("bilinear", "1"):
        return None
    pixdim = [float(side) for side in given["pixdim"]]
    return [f"{{resample = {numbers(pixdim)}}}"] if min(pixdim) > 0 else None


def _sizes(written: Any) -> str:
    sides = [int(side) for side in written]
    if min(sides) < 1:
        raise ValueError("a side that stays")
    return str(sides)


_STEPS: Mapping[str, Callable[[Mapping[str, Any]], list[str] | None]] = {
    "ScaleIntensityRange": _range,
    "ScaleIntensity": _intensity,
    "NormalizeIntensity": _normal,
    "ScaleIntensityRangePercentiles": _percentiles,
    "Resize": _resize,
    "Spacing": _spacing,
    "SpatialPad": lambda given: [f"{{pad = {_sizes(given['spatial_size'])}}}"],
    "CenterSpatialCrop": lambda given: [f"{{centre_crop = {_sizes(given['roi_size'])}}}"],
    "ResizeWithPadOrCrop": lambda given: [
        f"{{pad = {_sizes(given['spatial_size'])}}}",
        f"{{centre_crop = {_sizes(given['spatial_size'])}}}",
    ],
}
