"""The cards of artefacts in the gallery: of each kind the image that it harms most, before and after."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from palpate.report.model.description_artefacts import ArtefactDescription, ArtefactPicture, ArtefactSlice
from palpate.report.model.schema import Results
from palpate.report.page.cards import Drawn, decided, pictured, window
from palpate.report.page.views import SLICES
from palpate.storage.runs import RunFolder


def cards(
    run: RunFolder,
    pictures: Sequence[ArtefactPicture],
    items: Sequence[ArtefactDescription],
    results: Results,
    *,
    named: bool,
    lost: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The cards in the plan's order, until there are too many slices; file names only if `named`."""
    known = {item.item: item for item in items}
    shown, slices = [], 0
    for picture in pictures:
        if picture.item in known and slices < SLICES:
            slices += len(picture.slices)
            shown.append(_card(run, picture, known[picture.item], results, named, lost))
    return shown


def _card(
    run: RunFolder,
    picture: ArtefactPicture,
    item: ArtefactDescription,
    results: Results,
    named: bool,
    lost: Collection[str],
) -> dict[str, Any]:
    task = results.task
    most = max(range(len(picture.slices)), key=lambda place: picture.slices[place].changed)
    return {
        "slices": [pictured(run, picture.row, one, _drawn(one, item.name), task, lost) for one in picture.slices],
        "start": most,
        "overlaid": not task.classification,
        "artefact": item.name,
        "words": words(item, picture),
        "severity": f"{picture.severity:.2g}",
        "summary": item.summary,
        "row": picture.row,
        "name": picture.image if named else None,
        "window": window(picture, results.data.unit),
        "effect": _effect(picture, item),
        **decided(picture, task),
    }


def _drawn(one: ArtefactSlice, name: str) -> Drawn:
    before = one.marks.truth if one.truth_before is None else one.truth_before
    return {
        "as stored": (one.before, [("truth", before), ("found", one.marks.clean)]),
        f"with {name}": (one.after, [("truth", one.marks.truth), ("found", one.marks.adversarial)]),
    }


def words(item: ArtefactDescription, picture: ArtefactPicture) -> str:
    """The parameters of one image in words, strengths first; as stored where they are of another version."""
    if len(picture.theta) != len(item.parameters):
        return picture.words
    return item.words(picture.theta)


def _effect(picture: ArtefactPicture, item: ArtefactDescription) -> str:
    """What became of the decision, beyond its figures."""
    if not picture.eligible:
        return "wrong before the artefact" if item.goal == "untargeted" else "the goal does not apply or was reached"
    if item.goal == "untargeted":
        return "fails" if picture.failed else "does not fail"
    return f"goal “{item.goal}” {'reached' if picture.failed else 'not reached'}"
