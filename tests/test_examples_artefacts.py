"""The examples of artefacts: plans with both halves, tables from results, and slices in HU that are what they claim."""

import importlib.util
import json
import sys

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from palpate.artefacts import catalog
from palpate.audit.plan.plan import load_plan
from tests.test_examples import EXAMPLES, PLANS, network

ARTEFACTS = [path for path in PLANS if path.stem.endswith("artefacts")]
ROOMS = {"covid_ct", "fundus_dr", "polyps", "hippocampus", "blood_cells", "clinic_files"}


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded
    spec.loader.exec_module(loaded)
    return loaded


table = module(EXAMPLES / "artefact_table.py")
hounsfield = module(EXAMPLES / "covid_ct" / "hounsfield.py")


def test_every_example_that_has_a_table_has_a_plan():
    assert {path.parent.name for path in ARTEFACTS} == ROOMS


@pytest.mark.parametrize("path", ARTEFACTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_plan_has_both_halves_and_artefacts_of_its_modality(path):
    plan = load_plan(path)
    assert len(plan.attacks) >= 2 and len(plan.artefacts) >= 2
    modality = plan.data.modality or "ct"
    assert all(modality in catalog.find(one.artefact).modalities for one in plan.artefacts)
    assert not any(one.any_modality for one in plan.artefacts)


@pytest.mark.parametrize("name", sorted(ROOMS - {"covid_ct", "clinic_files"}))
def test_artefacts_are_tried_on_the_network_and_the_images_of_the_attacks(name):
    first, second = (load_plan(EXAMPLES / name / f"{one}.toml") for one in ("plan", "artefacts"))
    assert (second.model, second.task, second.seed) == (first.model, first.task, first.seed)
    left_out = {"limit": None, "modality": None}
    assert second.data.model_copy(update=left_out) == first.data.model_copy(update=left_out)


def test_upright_network_is_the_network_of_the_turned_slices():
    plain, upright = (network(EXAMPLES / "covid_ct" / f"model.py:{name}") for name in ("build", "build_upright"))
    upright.load_state_dict(plain.state_dict())
    slices = torch.randn(1, 1, 32, 48)
    with torch.no_grad():
        found = upright(torch.rot90(slices, -1, (2, 3)))
        assert torch.allclose(found, torch.rot90(plain(slices), -1, (2, 3)), atol=1e-5)


def test_slices_in_hu_come_back_as_the_grey_values_of_the_training(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    Image.fromarray(grey).save(tmp_path / "slice.png")
    hounsfield.write(tmp_path / "slice.png", tmp_path / "out" / "slice.nii.gz", (2.0, 3.0))
    volume = nibabel.load(tmp_path / "out" / "slice.nii.gz")
    values = np.asarray(volume.dataobj)
    assert volume.header.get_zooms()[:2] == (2.0, 3.0) and values.shape == (32, 8)
    assert (values[0] == np.rint(hounsfield.in_hu(grey[::-1, 0]))).all(), "the left side is the top, left to right"
    steps = load_plan(EXAMPLES / "covid_ct" / "artefacts.toml").model.preprocess.steps
    assert tuple(steps[0]["window"]) == hounsfield.WINDOW
    low, high = hounsfield.WINDOW
    seen = (np.rot90(values.astype(float)) - low) / (high - low) * 255
    assert np.abs(seen - grey).max() < 0.1
    mean, std = (value[0] * 255 for value in (steps[1]["normalise"]["mean"], steps[1]["normalise"]["std"]))
    assert (mean, std) == pytest.approx((127.5, 63.0))


def test_the_longer_side_has_the_assumed_width_and_pixels_were_square():
    # A JPEG of 400 x 200: 400 rows from left to right of the patient, which are the columns once it is upright.
    down, across = hounsfield.spacing((400, 200), (160, 160))
    assert across * 160 == pytest.approx(hounsfield.WIDTH)
    assert down * 160 == pytest.approx(hounsfield.WIDTH / 2)


def test_peaks_are_in_hu(tmp_path):
    low, high = hounsfield.WINDOW
    paths = []
    for place, (air, tissue) in enumerate([(40, 210), (45, 215), (100, 240)]):
        values = np.repeat(np.array([air, tissue], dtype=np.uint8), 500).reshape(10, 100)
        paths.append(tmp_path / f"{place}.png")
        Image.fromarray(values).save(paths[-1])
    found = hounsfield.peaks(paths)
    expected = [low + value * (high - low) / 255 for value in (45, 215)]
    assert found == pytest.approx(expected, abs=4 * (high - low) / 255 + 1e-6)


def figure(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def decided(acceptable, score, **more):
    return {"acceptable": figure(acceptable, 0.1, 0.9), "score": figure(score), **more}


def results(kind="segmentation", **failing):
    first = {"median": 2.14, "low": 1.4, "high": None, "words": "diameter 4.3 mm", "failed": 5, "eligible": 6}
    item = {
        "name": "metal",
        "images": 8,
        "ladder": {"draws": 2, "evolution": 24},
        "tries": 12,
        "searched": 5.0,
        "clean_acceptable": figure(0.75, 0.5, 0.9),
        "clean_score": figure(0.7),
        "points": [decided(0.6 - at / 10, 0.61 - at / 10, severity=float(at)) for at in (1, 2, 4, 5)],
        "worst_of": decided(0.31, 0.33, failed=4, eligible=6),
        "worst": decided(0.21, 0.22, failed=5, eligible=6),
        "levels": [f"diameter {at} mm" for at in (2, 4, 6, 9, 12)],
        "first_failing": first | failing,
        "queries": 400,
        "seconds": 90.0,
    }
    point = {"eps": 1.0, "success_rate": figure(0.25, 0.1, 0.5)}
    return {
        "task": {"kind": kind, "score": "dice"},
        "data": {"images": 8},
        "attacks": [{"name": "noise", "eligible": 6, "points": [point]}],
        "artefacts": {"items": [item], "side_by_side": "An adversary needs 1 HU."},
    }


def cells(text, first):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_holds_the_figures_of_the_results():
    text = "\n".join(table.artefacts(results()))
    assert cells(text, "`metal`")[1:10] == ["0.7", "0.51", "0.41", "-", "0.21", "0.11", "0.33", "0.22", "5 of 6"]
    assert cells(text, "`metal`")[10] == "2.1 (1.4 to above 5): diameter 4.3 mm"
    assert cells("\n".join(table.artefacts(results("ordinal"))), "`metal`")[1] == "75 (50-90)"


def test_a_median_that_is_not_reached_is_said():
    assert table.first_failing(results(median=None)["artefacts"]["items"][0]["first_failing"]) == (
        "not reached: 5 of 6 ever fail"
    )
    assert table.first_failing(results(high=3.25)["artefacts"]["items"][0]["first_failing"]).startswith("2.1 (1.4-3.2)")
    assert table.first_failing(None) == "-"


def test_a_page_gets_the_whole_of_it_in_its_place(tmp_path, monkeypatch, capsys):
    run, page = tmp_path / "run", tmp_path / "page.md"
    run.mkdir()
    (run / "results.json").write_text(json.dumps(results()))
    monkeypatch.setattr(sys, "argv", ["artefact_table.py", str(run)])
    table.main()
    printed = capsys.readouterr().out
    assert "8 images" in printed and "k = 12" in printed and "50 queries on average" in printed
    assert "1.5 minutes" in printed and "> An adversary needs 1 HU." in printed
    assert cells(printed, "`noise`") == ["`noise`", "6", "25 (10-50)"]
    monkeypatch.setattr(sys, "argv", ["artefact_table.py", str(run), "--page", str(page)])
    page.write_text(f"above\n<!-- run: {run} -->\n<!-- end of run -->\nbelow\n")
    table.main()
    assert page.read_text() == f"above\n<!-- run: {run} -->\n{printed}<!-- end of run -->\nbelow\n"
    page.write_text("above\n")
    with pytest.raises(SystemExit):
        table.main()
    assert page.read_text() == "above\n"
