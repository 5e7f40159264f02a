"""`[survival]` and `[export]` of a plan: what happens to adversarial images after the attack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section

USUAL = ("8bit", "jpeg90", "jpeg75", "jpeg2000", "half", "rewindow", "blur1")


class SurvivalSection(Section):
    """`[survival]`: which handling of images the success of attacks is measured after."""

    saved: bool = True
    """Write every adversarial image in the format that it came in, read it again with the ordinary reader, and score
    it."""
    after: tuple[str, ...] = Field(default=USUAL, examples=['after = ["8bit", "jpeg75", "blur1"]'])
    """What else happens to images in a hospital: names from `palpate list post-processing`. An empty list: nothing."""


class ExportSection(Section):
    """`[export]`: adversarial images as files, in the format that the images came in, marked as altered."""

    images: Literal["none", "shown", "all"] = "shown"
    """Which: those that the report shows, all at every budget, or none."""
    identifiers: bool = False
    """Keep what identifies the patient in DICOM exports. Leave it off unless the files stay where the originals are."""
