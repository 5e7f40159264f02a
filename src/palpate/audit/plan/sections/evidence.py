"""`[evidence]` of a plan: what only a person knows about a test."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.plan.sections.base import Section


class EvidenceSection(Section):
    """`[evidence]`: who tests what, for `palpate evidence`. What is missing becomes a blank to fill in."""

    tester: str = Field(default="", examples=['tester = "A. Tester"'])
    """Who carries out the test."""
    organisation: str = Field(default="", examples=['organisation = "Example Test House"'])
    """Where the testers work."""
    independence: str = Field(default="", examples=['independence = "another department; no part in the training"'])
    """How independent they are of those who made the model."""
    product: str = Field(default="", examples=['product = "Example Reader"'])
    """Name of the device or software."""
    version: str = Field(default="", examples=['version = "2.1"'])
    """Its version."""
    purpose: str = Field(default="", examples=['purpose = "grading of fundus photographs"'])
    """Its intended use."""
