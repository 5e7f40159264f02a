"""The plans of the examples are plans, their networks answer as they say, and the vessel net is the one described."""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from palpate.audit.plan.plan import load_plan
from palpate.audit.plan.sections.tasks import SegmentationSection

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PLANS = sorted(EXAMPLES.glob("*/*.toml"))
SHARED = ROOT.parent / "shared" / "data"


def network(reference):
    """What a factory `file.py:function` builds."""
    path, _, name = str(reference).rpartition(":")
    folder = Path(path).resolve().parent
    spec = importlib.util.spec_from_file_location(f"{folder.name}_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)().eval()


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_plan_of_an_example_is_a_plan(path):
    assert load_plan(path).attacks


def test_example_of_tracing_prints_every_step_of_both_attacks(capsys):
    runpy.run_path(str(EXAMPLES / "tracing.py"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:4].strip().isdigit()] == [str(step) for step in range(11)] * 2
    assert sum("its spread over starts" in line for line in lines) == 1
    assert sum("it draws nothing" in line for line in lines) == 1


@pytest.mark.parametrize("name", ["fundus_dr", "covid_ct", "polyps"])
@pytest.mark.parametrize("other", ["survival", "lattice"])
def test_plans_of_one_example_are_about_one_network_and_one_set_of_images(name, other):
    first, second = (load_plan(EXAMPLES / name / f"{one}.toml") for one in ("plan", other))
    assert (second.model, second.task, second.seed) == (first.model, first.task, first.seed)
    assert second.data.model_copy(update={"limit": None}) == first.data


@pytest.mark.parametrize("path", PLANS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_network_of_masks_answers_as_its_plan_says(path):
    plan = load_plan(path)
    if not isinstance(plan.task, SegmentationSection) or plan.model.factory is None:
        pytest.skip("no masks, or no network before a training")
    series = path.stem.startswith("ct_series")
    size = plan.model.inferer.size or plan.model.preprocess.size or ((3, 64, 64) if series else (64, 64))
    channels = 3 if {path.parent.name, path.stem} & {"polyps", "vessels", "endoscopy"} else 1
    with torch.no_grad():
        outputs = network(path.parent / plan.model.factory)(torch.randn(1, channels, *size))
    alone = len(plan.task.structures) == 1
    assert outputs.shape == (1, 1 if alone else len(plan.task.structures) + 1, *size)


@pytest.mark.shared
def test_vessel_net_takes_every_array_it_was_handed_on_with():
    arrays = SHARED / "weights" / "fundus_vessel_wnet_drive.npz"
    if not arrays.is_file():
        pytest.skip(f"no shared weights at {arrays}")
    built = network(EXAMPLES / "vessels" / "model.py:build")
    with np.load(arrays, allow_pickle=False) as handed:
        built.load_state_dict({name: torch.tensor(handed[name]) for name in handed.files})
    assert sum(parameter.numel() for parameter in built.parameters()) == 68_482


@pytest.mark.shared
def test_vessel_net_draws_the_vessels_of_an_image_it_was_not_trained_on(tmp_path, monkeypatch):
    source = SHARED / "seg_fundus_vessels"
    arrays = SHARED / "weights" / "fundus_vessel_wnet_drive.npz"
    if not (source / "labels.csv").is_file() or not arrays.is_file():
        pytest.skip(f"no shared images at {source}")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.syspath_prepend(str(EXAMPLES / "vessels"))
    for name in ("check", "prepare", "model"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import check
    import prepare

    import preparing

    monkeypatch.setattr(check, "HERE", tmp_path)
    built = network(EXAMPLES / "vessels" / "model.py:build")
    with np.load(arrays, allow_pickle=False) as handed:
        built.load_state_dict({name: torch.tensor(handed[name]) for name in handed.files})
    row = preparing.rows_of(source / "labels.csv", split="test", dataset="CHASE_DB1")[0]
    assert check.mean_dice(built, [prepare.cut(source, row, tmp_path / "data")]) > 0.65
