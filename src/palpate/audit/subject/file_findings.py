"""Findings about the files of the images: what a reader of the report must know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palpate.audit.subject.preflight import AuditFinding
from palpate.audit.subject.subject import Subject
from palpate.data.formats.orientation import UPRIGHT

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_SLACK = 1e-6


def file_findings(plan: Plan, subject: Subject) -> list[AuditFinding]:
    """Findings about the files: formats, channels, orientation, bounds, polarity, rescales and small budgets."""
    left_out = [AuditFinding("note", "data", text) for text in subject.table.notes]
    files = [*_converted(subject), *_channels(subject), *_turned(plan, subject), *_bounds(subject), *_polarity(subject)]
    files += _rescales(subject)
    return [*left_out, *files, *_below_a_step(plan, subject)]


def _converted(subject: Subject) -> list[AuditFinding]:
    found = sorted({header.format for header in subject.headers} & {"BMP", "GIF", "WEBP"})
    if not found:
        return []
    return [
        AuditFinding(
            "note", "files", f"Copies of {' and '.join(found)} images are saved as PNG, which holds the same numbers."
        )
    ]


def _channels(subject: Subject) -> list[AuditFinding]:
    names: dict[int, list[str]] = {}
    for header, case in zip(subject.headers, subject.table, strict=True):
        names.setdefault(header.shape[0], []).append(case.name)
    if len(names) < 2:
        return []
    parts = [
        f"{len(own)} of {number} {'channel' if number == 1 else 'channels'} (first {own[0]})"
        for number, own in sorted(names.items())
    ]
    text = (
        f"The images differ in channels: {', '.join(parts)}. A grey image carries one change, a colour image one "
        "in each channel, so equal budgets are not equally strong. Save all with the same channels, or audit them "
        "separately."
    )
    return [AuditFinding("warning", "channels", text)]


def _turned(plan: Plan, subject: Subject) -> list[AuditFinding]:
    sideways = [
        case.name for header, case in zip(subject.headers, subject.table, strict=True) if header.orientation != UPRIGHT
    ]
    if not sideways or plan.data.orientation == "exif":
        return []
    text = (
        f"{len(sideways)} of {len(subject.headers)} images have an EXIF tag by which viewers turn them ("
        f"first {sideways[0]}). palpate reads them as stored. If the network in use gets them turned (OpenCV does it), "
        'write data.orientation = "exif".'
    )
    return [AuditFinding("note", "orientation", text)]


def _bounds(subject: Subject) -> list[AuditFinding]:
    low, high = subject.victim.bounds
    beyond = [
        (header, case.name)
        for header, case in zip(subject.headers, subject.table, strict=True)
        if header.bounds is not None and (header.bounds[0] > low + _SLACK or header.bounds[1] < high - _SLACK)
    ]
    if not beyond:
        return []
    header, name = beyond[0]
    assert header.bounds is not None
    text = (
        f"model.bounds are {low:g} to {high:g}, and {name} can store {header.bounds[0]:g} to {header.bounds[1]:g} "
        f"({len(beyond)} of {len(subject.headers)} images). Values outside are clipped when the image is saved; give "
        "bounds that every file can store."
    )
    return [AuditFinding("warning", "bounds", text)]


def _rescales(subject: Subject) -> list[AuditFinding]:
    own = sum(header.format == "DICOM series" and header.lattice is None for header in subject.headers)
    if not own:
        return []
    text = (
        f"{own} of {len(subject.headers)} series have a separate rescale in each slice, as in PET. Values are read "
        "exactly; a saved copy holds the nearest values that its slices can store."
    )
    return [AuditFinding("note", "rescale", text)]


def _polarity(subject: Subject) -> list[AuditFinding]:
    inverted = sum(header.inverted for header in subject.headers)
    if not inverted:
        return []
    count = len(subject.headers)
    if inverted < count:
        text = (
            f"{inverted} of {count} images are MONOCHROME1, where bright is stored as dark. Values are read as stored; "
            "if the network in use gets them inverted, it sees negatives here. Audit them separately, with the step "
            "invert."
        )
        return [AuditFinding("warning", "polarity", text)]
    text = (
        "The images are MONOCHROME1, where bright is stored as dark, and are read as stored. If the network in use "
        "gets them inverted, add the step invert to model.preprocess."
    )
    return [AuditFinding("note", "polarity", text)]


def _below_a_step(plan: Plan, subject: Subject) -> list[AuditFinding]:
    step = subject.scale.step
    small = [] if step is None or plan.threat.norm != "linf" else [eps for eps in plan.radii if eps < step / 2]
    if not small or step is None:
        return []
    text = (
        f"Budgets below half a stored step of {step:g} ({', '.join(f'{eps:g}' for eps in small)}) round to nothing "
        "when the file is saved: they show what the network would do with images that no file can store."
    )
    return [AuditFinding("warning", "stored steps", text)]
