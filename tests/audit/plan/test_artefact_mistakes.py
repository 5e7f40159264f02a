"""Mistakes in `[[artefacts]]` and in gates on them: one sentence with file, line, field and fix."""

from pathlib import Path

import pytest

from palpate.artefacts.artefact import Artefact, Scene
from palpate.audit.plan.artefacts import artefact_item, require_fitting
from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.sections.artefacts import ArtefactSection
from palpate.errors import InputError, PlanError
from tests.audit.tiny_dense import text

MR = ("[data]\n", '[data]\nmodality = "mr"\n')


def rows(*named: str, **settings: object) -> str:
    values = "".join(f"{key} = {value}\n" for key, value in settings.items())
    return "".join(f'[[artefacts]]\nartefact = "{name}"\n{values}' for name in named)


def gate(name: str, more: str) -> str:
    return f'[[gates]]\nmetric = "score"\nartefact = "{name}"\n{more}\nat_least = 0.7\n'


def refusal(more: str, *edits: tuple[str, str]) -> str:
    plan = text("segmentation", more)
    for before, after in edits:
        plan = plan.replace(before, after)
    with pytest.raises(PlanError) as refused:
        parse_plan(plan, Path("plan.toml"))
    said = str(refused.value)
    assert said.startswith("plan.toml, line ") and "\n" not in said, "one sentence with its line"
    return said.partition(": ")[2]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (rows("metl"), "artefacts[0].artefact: There is no artefact 'metl'. Did you mean 'metal'?"),
        (rows("a"), "artefacts[0].artefact: There is no artefact 'a'. `palpate list artefacts` shows all of them."),
        (rows("metal+metal"), "artefacts[0].artefact: 'metal' is named twice; a composition has each artefact once."),
        (rows("metal+"), "artefacts[0].artefact: 'metal+' has a plus without a name beside it."),
        (rows("metl+noise"), "artefacts[0].artefact: There is no artefact 'metl'. Did you mean 'metal'?"),
        (rows("metal+ghosting"), "artefacts[0].artefact: no kind of images has all of these: 'metal' is of ct; "),
        (rows("metal", severty=3), "artefacts[0].severty: there is no such field. Did you mean 'severity'?"),
        (rows("metal", diameter=3), "artefacts[0].diameter: there is no such field. Severity sets how strong an"),
        (rows("metal", severity=0), "artefacts[0].severity: 0 must be more than 0. For example: severity = 3."),
        (rows("metal", severity=6), "artefacts[0].severity: 6 must be 5 or less."),
        (rows("jpeg", "jpeg"), "artefacts[1].name: 'jpeg' is the name of another row already. Give it another name"),
        (rows("noise"), "artefacts[0].name: 'noise' is the name of another row already"),
        (rows("jpeg") + gate("jpg", "severity = 3"), "gates[0].artefact: there is no artefact 'jpg'. Did you mean"),
        (gate("jpeg", "severity = 3"), "gates[0].artefact: there is no artefact 'jpeg'. The plan has no [[artefacts]]"),
        (rows("jpeg") + gate("jpeg", "severity = 0"), "gates[0].severity: 0 must be 1 or more."),
        (rows("jpeg") + gate("jpeg", "severity = 6"), "gates[0].severity: 6 must be 5 or less."),
        (
            rows("jpeg") + gate("jpeg", "worst = false"),
            "gates[0].severity: a gate on an artefact needs either severity",
        ),
    ],
)
def test_a_mistake_is_named_with_its_field_and_the_fix(more: str, said: str) -> None:
    assert refusal(more).startswith(said)


def test_an_artefact_of_another_modality_runs_only_if_forced() -> None:
    said = refusal(rows("metal"), MR)
    assert said.startswith("artefacts[0].artefact: 'metal' is not an artefact of mr (data.modality). Those are mr-mot")
    plan = parse_plan(text("segmentation", rows("metal", any_modality="true")).replace(*MR), Path("plan.toml"))
    item = artefact_item(plan, plan.artefacts[0])
    require_fitting(item, "mr", (1, 64, 64), Scene((-1024, 3071), (1.0, 1.0), "HU"), "a.dcm")


def test_files_may_say_the_modality_too() -> None:
    plan = parse_plan(text("segmentation", rows("ghosting")), Path("plan.toml"))
    item = artefact_item(plan, plan.artefacts[0])
    with pytest.raises(InputError, match=r"^a\.dcm: artefact 'ghosting' is of mr, and the images are ct\. Name one of"):
        require_fitting(item, "ct", (1, 64, 64), Scene((-1024, 3071), None, "HU"), "a.dcm")


class _Thick(Artefact):
    name, parameters, dimensions = "thick", (), (3,)

    def bind(self, image, scene, streams):
        return lambda theta: image[None]


@pytest.mark.parametrize(
    ("artefact", "shape", "scene", "said"),
    [
        (
            "metal",
            (1, 64, 64),
            Scene((0, 255), (1.0, 1.0)),
            'needs Hounsfield units, and the values have no unit.*"HU"',
        ),
        (
            "metal",
            (1, 64, 64),
            Scene((0, 255), (1.0, 1.0), "mGy"),
            "needs Hounsfield units, and the values have the unit mGy",
        ),
        ("mr-motion", (1, 64, 64), Scene((0, 255)), "needs the size of a pixel in mm.*data.spacing in a plan"),
        ("defocus", (1, 8, 64, 64), Scene((0, 255)), "acts on images, and this image has 3 spatial axes. Name another"),
        ("colour-cast", (1, 64, 64), Scene((0, 255)), "needs three colour channels, and this image has 1"),
    ],
)
def test_images_that_an_artefact_cannot_act_on(artefact: str, shape: tuple[int, ...], scene: Scene, said: str) -> None:
    plan = parse_plan(text("segmentation"), Path("plan.toml"))
    item = artefact_item(plan, ArtefactSection(artefact=artefact))
    with pytest.raises(InputError, match=rf"^3\.png: artefact '{artefact}' {said}"):
        require_fitting(item, "", shape, scene, "3.png")


def test_an_artefact_of_volumes_is_refused_on_slices() -> None:
    with pytest.raises(InputError, match="'thick' acts on volumes, and this image has 2 spatial axes"):
        _Thick().check((1, 64, 64), Scene((0, 255)))
