"""The artefacts of a first plan: those of the images' modality, few, and cheaper than the attacks."""

import re
from pathlib import Path

import pytest

from palpate.artefacts import catalog
from palpate.artefacts.artefact import Scene
from palpate.audit.plan.artefacts import artefact_items
from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.starter.artefacts import FIRST, GENERAL, _fitting, artefact_part
from palpate.audit.starter.plan import starting_plan
from tests import clinic
from tests.audit import tiny_dense
from tests.audit.starter.test_starter_clinic import made


def started(folder: Path, kind: str | None = None) -> tuple[str, Plan]:
    text = starting_plan(folder, folder, kind)
    return text, parse_plan(text, folder / "plan.toml")


@pytest.mark.parametrize("modality", sorted(FIRST))
def test_every_modality_has_names_of_the_catalogue_first(modality: str) -> None:
    assert set(FIRST) == set(catalog.MODALITIES)
    named = [*FIRST[modality], *GENERAL]
    assert all(modality in catalog.find(name).modalities for name in named)
    scene = Scene((-1024, 3071), (1.0, 1.0), "HU" if modality == "ct" else "")
    assert list(_fitting(tuple(named), (3 if modality in _COLOUR else 1, 64, 64), scene)) == named


_COLOUR = ("endoscopy", "dermoscopy", "fundus", "microscopy")


@pytest.mark.parametrize("kind", ["segmentation", "detection", "multilabel"])
def test_pictures_get_general_ones_and_the_choice_of_a_modality(kind: str, tmp_path: Path) -> None:
    tiny_dense.write(tmp_path, kind)
    (tmp_path / "plan.toml").unlink()
    text, plan = started(tmp_path, kind)
    assert [one.artefact for one in plan.artefacts] == list(GENERAL) and plan.data.modality is None
    (line,) = re.findall(r"^# modality = .*$", text, flags=re.MULTILINE)
    assert all(modality in line for modality in catalog.MODALITIES)
    chosen = parse_plan(text.replace("# modality", "modality"), tmp_path / "plan.toml")
    assert chosen.data.modality == "ct", "the images are grey"
    assert "#   mr: mr-motion, bias-field, ghosting\n" in text, "grey images: what could be named"


def test_dicom_files_say_the_modality(tmp_path: Path) -> None:
    made(tmp_path / "xray", clinic.xray, ".dcm")
    text, plan = started(tmp_path / "xray")
    assert "palpate list artefacts --modality xray`" in text and "# modality" not in text
    assert [one.artefact for one in plan.artefacts] == list(FIRST["xray"])
    made(tmp_path / "ct", clinic.ct_series, "")
    text, plan = started(tmp_path / "ct")
    assert "palpate list artefacts --modality ct`" in text
    assert 1 <= len(plan.artefacts) <= 3 and all("ct" in item.modalities for item in artefact_items(plan))


def test_each_has_a_line_in_plain_words_and_costs_less_than_strongest() -> None:
    text = artefact_part(("mr-motion", "ghosting"), "mr", 1)
    for name in ("mr-motion", "ghosting"):
        assert f'# {catalog.find(name).summary}\n[[artefacts]]\nartefact = "{name}"\n' in text
    (passes,) = re.findall(r"Each costs (\d+) passes", text)
    # `strongest` needs 1,200 passes and more at each budget for an image that nothing beats.
    assert 3 * int(passes) < 1200 / 4
