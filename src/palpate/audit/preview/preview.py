"""Contact sheets of the artefacts of a plan, so that somebody who knows such images can judge them before an audit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from palpate.artefacts import catalog
from palpate.audit.plan.artefacts import ArtefactItem, artefact_item, require_fitting
from palpate.audit.plan.sections.artefacts import ArtefactSection
from palpate.audit.preview.cells import row_of
from palpate.audit.preview.sheet import sheet
from palpate.audit.preview.specimens import Specimen, Specimens, specimens
from palpate.errors import InputError, nearest
from palpate.storage.writing import write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class Sheet:
    """What became of one artefact.

    Attributes:
        artefact: its name in the plan.
        path: the picture; None if the images cannot have this artefact.
        why: why they cannot.
    """

    artefact: str
    path: Path | None
    why: str = ""


def preview(
    plan: Plan,
    *,
    out: Path | None = None,
    images: int = 3,
    artefact: str | None = None,
    names: bool = False,
    window: tuple[float, float] | None = None,
) -> Iterator[Sheet]:
    """Write a contact sheet per artefact: rows are images, columns are clean and severities 1 to 5. No model is loaded.

    The artefacts are those of the plan; if it has none, all of the images' modality that these images can have.
    Parameters that say where or how an artefact happens are random, from the plan's seed, and equal in a row.

    Args:
        plan: names the images and the artefacts.
        out: a PNG for one artefact, or a folder; by default the folder `preview` next to the plan.
        images: rows.
        artefact: only this one, by its name in the plan or in the catalogue.
        names: write the names of the files in the picture.
        window: values that are shown black and white.

    Raises:
        InputError: the images cannot be read, or an artefact of the plan cannot act on them, or there is none.
        StorageError: the disk does not accept a file.
    """
    seen = specimens(plan, images, window)
    proposed = artefact is None and not plan.artefacts
    items = _items(plan, seen, artefact)
    single = out is not None and out.suffix.lower() == ".png"
    if out is not None and single and len(items) > 1:
        raise InputError(f"{out} is one picture, and there are {len(items)} artefacts. Name one, or give a folder.")
    shown = list(seen)
    for item in items:
        try:
            _require(item, seen, shown)
        except InputError as error:
            if not proposed:
                raise
            yield Sheet(item.name, None, str(error))
            continue
        rows = [row_of(item, one, plan.seed) for one in shown]
        folder = plan.origin.parent / "preview" if out is None else out
        path = out if out is not None and single else folder / f"{_file(item.name)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, sheet(item, rows, _window(seen, shown), names=names))
        yield Sheet(item.name, path)


def _items(plan: Plan, seen: Specimens, artefact: str | None) -> list[ArtefactItem]:
    if artefact is not None:
        sections = [section for section in plan.artefacts if section.title == artefact]
        if not sections and len(catalog.parts(artefact)) == 1 and artefact not in catalog.artefacts():
            known = [*(section.title for section in plan.artefacts), *catalog.artefacts()]
            raise InputError(f"There is no artefact '{artefact}' in {plan.origin} or in the catalogue. "
                             f"{nearest(artefact, known)}")  # fmt: skip
        sections = sections or [ArtefactSection(artefact=artefact)]
    elif plan.artefacts:
        sections = list(plan.artefacts)
    elif seen.modality:
        sections = [ArtefactSection(artefact=entry.name) for entry in catalog.of_modality(seen.modality)]
    else:
        raise InputError(
            f"{plan.origin} has no [[artefacts]], and neither the plan nor the files say what kind of images these "
            f"are. Name an artefact (--artefact NAME; `palpate list artefacts` shows them), or write data.modality: "
            f"{', '.join(catalog.MODALITIES)}."
        )
    return [artefact_item(plan, section) for section in sections]


def _require(item: ArtefactItem, seen: Specimens, shown: list[Specimen]) -> None:
    for one in shown:
        require_fitting(item, seen.modality, tuple(one.image.shape), one.scene, one.name)


def _window(seen: Specimens, shown: list[Specimen]) -> str:
    """Which values are black and white, if that is not the whole range of 8 bit."""
    every = {one.shades for one in shown}
    unit = f" {seen.scale.unit}" if seen.scale.unit else ""
    if len(every) == 1 and every != {(0.0, 255.0)}:
        low, high = every.pop()
        return f"Shown from {low:g} to {high:g}{unit}."
    return "" if every == {(0.0, 255.0)} else "Each image is shown in its own window."


def _file(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-") or "artefact"
