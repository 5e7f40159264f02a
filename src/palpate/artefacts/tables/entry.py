"""One row of the catalogue of artefacts."""

from __future__ import annotations

from dataclasses import dataclass

MODALITIES = ("ct", "mr", "xray", "ultrasound", "endoscopy", "dermoscopy", "fundus", "microscopy")


@dataclass(frozen=True)
class ArtefactEntry:
    """One artefact that can be named in a plan. Reading it imports no torch.

    Attributes:
        name: its name in plans and on the command line.
        factory: `module:class`; made without arguments.
        summary: one line for lists.
        modalities: the kinds of image that have it; all of `MODALITIES` for what any image can have.
        reference: the physics: a publication, or `derived: ` and how. Sources of ranges are in its parameters.
    """

    name: str
    factory: str
    summary: str
    modalities: tuple[str, ...]
    reference: str
