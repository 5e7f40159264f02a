"""The artefacts of a plan as values: each with its search, its task and the identity of its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palpate.artefacts import catalog
from palpate.artefacts.artefact import Artefact, Scene
from palpate.artefacts.search import Ladder
from palpate.audit.plan.fields import PlanFields
from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.sections.artefacts import ArtefactSection
from palpate.audit.plan.tasks import FLAT, Grid, goal_words, plan_task, reader_of
from palpate.contracts import Task
from palpate.errors import InputError
from palpate.measures.measure import Reader
from palpate.storage.artefacts import ARTEFACT_VERSION


@dataclass(frozen=True)
class ArtefactItem:
    """One artefact of a plan, ready to run.

    Attributes:
        name: its name in records and reports; not part of its identity.
        entries: its rows of the catalogue: one, or those of the artefacts that happen together.
        artefact: the artefact.
        task: what the model's output means, with what the search looks for.
        reader: reads outputs and targets for the records.
        ladder: how it is searched.
        any_modality: it also runs on images of another kind.
    """

    name: str
    entries: tuple[catalog.ArtefactEntry, ...]
    artefact: Artefact
    task: Task
    reader: Reader
    ladder: Ladder
    any_modality: bool = False

    @property
    def goal(self) -> str:
        """The goal in words, as records have it."""
        return goal_words(self.task)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The kinds of image that can have it: for several together, those that all of them name."""
        return tuple(one for one in catalog.MODALITIES if all(one in entry.modalities for entry in self.entries))

    @property
    def identity(self) -> str:
        """Hash of everything that decides what the artefact and its search do to an image of a given model."""
        return digest(
            {
                "version": ARTEFACT_VERSION,
                "artefact": encode(self.artefact),
                "parameters": encode(self.artefact.parameters),
                "task": encode(self.task),
                "ladder": encode(self.ladder),
            }
        )


def artefact_items(plan: PlanFields, grid: Grid = FLAT) -> tuple[ArtefactItem, ...]:
    """The artefacts of a plan, in its order, for images of this grid."""
    return tuple(artefact_item(plan, section, grid) for section in plan.artefacts)


def artefact_item(plan: PlanFields, section: ArtefactSection, grid: Grid = FLAT) -> ArtefactItem:
    """One artefact of a plan.

    Raises:
        InputError: the artefact or the goal is unknown, or the search is larger than it can be.
    """
    artefact = catalog.make(section.artefact)
    entries = tuple(catalog.find(name) for name in catalog.parts(section.artefact))
    task = plan_task(plan, section.goal)
    ladder = Ladder(
        severity=section.severity,
        draws=section.draws,
        tries=section.tries,
        evolution=section.evolution,
        polish=section.polish,
        bisection=section.bisection,
    )
    reader = reader_of(plan.task, task, grid)
    return ArtefactItem(section.title, entries, artefact, task, reader, ladder, section.any_modality)


_CODES = {
    "CT": "ct",
    "MR": "mr",
    "CR": "xray",
    "DX": "xray",
    "RF": "xray",
    "XA": "xray",
    "MG": "xray",
    "US": "ultrasound",
    "ES": "endoscopy",
    "OP": "fundus",
    "SM": "microscopy",
    "GM": "microscopy",
}
"""DICOM's codes of modality (PS3.3, C.7.3.1.1.1) -> ours. Photographs (XC) may be of anything."""


def modality_of(given: str | None, codes: Sequence[str], unit: str) -> str:
    """The kind of the audited images; empty if neither plan nor files say it.

    Args:
        given: `data.modality` of the plan.
        codes: DICOM's code of each image; empty texts where the file has none.
        unit: unit of the values.

    Raises:
        InputError: the plan contradicts the files, or the files are of several kinds.
    """
    found = {_CODES.get(code, "") for code in codes} - {""}
    if not found and unit.casefold() == "hu":
        found = {"ct"}
    if given is None:
        return found.pop() if len(found) == 1 else ""
    if found and found != {given}:
        raise InputError(f'data.modality: "{given}" is given, and files say {", ".join(sorted(found))}. Remove it.')
    return given


def require_fitting(item: ArtefactItem, modality: str, shape: tuple[int, ...], scene: Scene, name: str) -> None:
    """Refuse an artefact that images cannot have.

    Raises:
        InputError: it is of another kind of images, and the plan does not force it; or what it needs is not known.
    """
    if modality and modality not in item.modalities and not item.any_modality:
        kinds = ", ".join(item.modalities) or "no single kind of images"
        raise InputError(
            f"{name}: artefact '{item.name}' is of {kinds}, and the images are {modality}. Name one of `palpate list "
            f"artefacts --modality {modality}`, or write any_modality = true in its [[artefacts]] to run it all the "
            "same."
        )
    try:
        item.artefact.check(shape, scene)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
