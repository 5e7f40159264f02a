"""`[survival]` and `[export]` of a plan: what happens to adversarial images after the attack."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section

USUAL = ("8bit", "jpeg90", "jpeg75", "jpeg2000", "half", "rewindow", "blur1")


class SurvivalSection(Section):
    """`[survival]`: the post-processing steps after which the success of attacks is measured again."""

    saved: bool = True
    """Write adversarial images in their original format, read them again with the ordinary reader, and score them."""
    after: tuple[str, ...] = Field(default=USUAL, examples=['after = ["8bit", "jpeg75", "blur1"]'])
    """Other things that happen to images in a hospital: names from `palpate list post-processing`; `[]` for none."""
    images: Literal["beaten", "all"] = "beaten"
    """Which images are measured: those that the attack beat, or all. `all` also says what each step does to images that
    withstand; it costs up to a third of an attack of 20 steps."""


class ExportSection(Section):
    """`[export]`: adversarial images as files, in the original format of the images, marked as altered."""

    images: Literal["none", "shown", "all"] = "shown"
    """Which images are written: those that the report shows, all images at every budget, or none."""
    identifiers: bool = False
    """Keep what identifies the patient in DICOM exports. Use it only if the files stay with the originals."""
