"""Artefacts of endoscopy, dermoscopy and microscopy: images by visible light."""

from palpate.artefacts.tables.entry import ArtefactEntry

_L = "palpate.artefacts.light"
_LENS = ("endoscopy", "dermoscopy")
TABLE: tuple[ArtefactEntry, ...] = (
    ArtefactEntry(
        "lens-particles", f"{_L}.lens:LensParticles", "Dirt on the front lens, far out of focus, stops light.",
        _LENS, "Gu, Ramamoorthi, Belhumeur, Nayar, Removing Image Artifacts Due to Dirty Camera Lenses and Thin "
        "Occluders, ACM TOG 28(5), 2009.",
    ),
    ArtefactEntry(
        "droplets", f"{_L}.lens:Droplets", "Drops on the front lens: out of focus behind them, with a bright rim.",
        _LENS, "derived: a drop on the front lens is a further weak lens before a part of the view.",
    ),
)  # fmt: skip
