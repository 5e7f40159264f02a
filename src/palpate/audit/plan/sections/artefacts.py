"""`[[artefacts]]` of a plan: which artefacts of acquisition are tried, how severe, and how thoroughly."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.plan.sections.base import Section


class ArtefactSection(Section):
    """`[[artefacts]]`: one artefact of acquisition, or two that happen together."""

    artefact: str = Field(examples=['artefact = "metal"'])
    """Name in the catalogue: `palpate list artefacts`. Two names with a plus happen together: `low-dose+metal`."""
    name: str = ""
    """Its name in the report; the catalogue's name by default. Two artefacts cannot have the same name."""
    goal: str = "untargeted"
    """What the search looks for, in the words of `attacks.goal`: the worst result by default."""
    severity: float = Field(default=5.0, gt=0, le=5, examples=["severity = 3"])
    """The severity at which the worst case is searched, from 0 (the image) to 5."""
    draws: int = Field(default=8, ge=1, le=1000)
    """Random artefacts of each image at each of the severities 1 to 5; their mean is the ordinary figure."""
    tries: int = Field(default=64, ge=1, le=10_000)
    """Random artefacts at `severity`, of which the worst is kept, before the search."""
    evolution: int = Field(default=72, ge=0, le=100_000)
    """Queries of the search (CMA-ES) for the worst parameters of each image; 0 leaves it out."""
    polish: int = Field(default=24, ge=0, le=1000)
    """Gradient steps from the worst artefact found; only what makes it worse is kept. 0 leaves them out."""
    bisection: int = Field(default=8, ge=0, le=30)
    """Queries that look for the smallest severity at which the image fails; 0 leaves them out."""
    any_modality: bool = False
    """Also run an artefact of another kind of images than the audited ones."""

    @property
    def title(self) -> str:
        """Its name in records and reports."""
        return self.name or self.artefact
