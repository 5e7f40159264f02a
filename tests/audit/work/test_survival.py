"""What the records say of survival, against images that are handled and scored apart from the audit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from palpate.audit.plan.items import items
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.audit.subject.subject import load_subject
from palpate.audit.work.survival import Survival
from palpate.data.formats.registry import read_scan
from palpate.postprocessing import parse
from palpate.storage.runs import RunFolder
from tests import clinic

MODEL = "bounds = [0, 65535]\n[model.preprocess]\nmean = [30000]\nstd = [20000]"
THREAT = 'eps = ["100 stored steps", "3000 stored steps"]\nlattice = true'
MORE = '[export]\nimages = "all"\n[survival]\nimages = "all"\nafter = ["blur1", "half", "8bit"]'


def plan(root: Path) -> Path:
    """Four radiographs, one of them labelled wrong."""
    names = [f"case{row}.dcm" for row in range(4)]
    for row, name in enumerate(names):
        clinic.xray(root / name, row)
    right = clinic.decided(clinic.plan(root, names, [0] * 4, MODEL, THREAT, MORE))
    return clinic.plan(root, names, [(right[0] + 1) % 3, *right[1:]], MODEL, THREAT, MORE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """A plan, carried out."""
    path = plan(tmp_path_factory.mktemp("survival"))
    folder = RunFolder(path.parent / "run")
    audit(load_plan(path), folder.path)
    return path, folder


def test_margins_after_handling_are_those_of_the_exported_files(run: tuple[Path, RunFolder]) -> None:
    path, folder = run
    subject = load_subject(load_plan(path))
    task = items(load_plan(path).calibrated(subject.scale))[0].task
    names = [one["name"] for one in folder.describe()["handlings"]]
    assert names == ["saved", "blur1", "half", "8bit"]
    frame, checked = folder.frame(), 0
    for entry in folder.describe()["exports"]:
        (place,) = np.flatnonzero(
            (frame["attack"] == entry["attack"]) & (frame["row"] == entry["row"]) & (frame["eps"] == entry["eps"])
        )
        image = torch.from_numpy(read_scan(folder.path / entry["file"]).values.astype(np.float32))[None]
        targets = subject.targets([entry["row"]])
        with subject.victim:
            images = [image, *(parse(name, subject.scale)(image) for name in names[1:])]
            expected = [float(task.margin(subject.victim.judge(one), targets)) for one in images]
        assert frame["handled"][place] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        checked += 1
    assert checked == 3 * 2 * 2, "three images that were right, two attacks, two budgets"


def test_clean_images_are_handled_too_and_wrong_ones_have_no_figures(run: tuple[Path, RunFolder]) -> None:
    path, folder = run
    subject, frame = load_subject(load_plan(path)), folder.frame()
    task = items(load_plan(path).calibrated(subject.scale))[0].task
    for row in range(4):
        image, targets = subject.images([row]), subject.targets([row])
        with subject.victim:
            blurred = float(task.margin(subject.victim.judge(parse("blur1", subject.scale)(image)), targets))
        for place in np.flatnonzero(frame["row"] == row):
            assert frame["clean_handled"][place][1] == pytest.approx(blurred, rel=1e-4, abs=1e-5)
            assert np.isnan(frame["handled"][place]).all() == (row == 0)
            assert np.isnan(frame["psnr"][place]) == (frame["linf"][place] == 0)


def test_without_a_word_only_beaten_images_are_measured_and_to_the_same_values(
    run: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    every = run[1].frame()
    path = plan(tmp_path)
    path.write_text(path.read_text().replace('images = "all"\nafter', "after"))
    folder = RunFolder(tmp_path / "run")
    audit(load_plan(path), folder.path)
    frame = folder.frame()
    won = frame["success"]
    assert won.any() and not won.all() and (won == every["success"]).all()
    for place, beaten in enumerate(won):
        assert np.isnan(frame["handled"][place]).all() != beaten
        assert np.isnan(frame["saved_linf"][place]) != beaten
        if beaten:
            assert frame["handled"][place] == pytest.approx(every["handled"][place], rel=1e-4, abs=1e-5)
            assert frame["clean_handled"][place] == pytest.approx(every["clean_handled"][place], rel=1e-4, abs=1e-5)
    assert frame["psnr"] == pytest.approx(every["psnr"], nan_ok=True)


def test_where_nothing_is_beaten_no_file_is_written_and_no_step_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["case0.dcm", "case1.dcm"]
    for row, name in enumerate(names):
        clinic.xray(tmp_path / name, row)
    rest = (MODEL, "eps = [0.001]", '[survival]\nafter = ["blur1"]')
    right = clinic.decided(clinic.plan(tmp_path, names, [0, 0], *rest))
    called: list[object] = []
    monkeypatch.setattr(Survival, "_after", lambda *given: called.append(given))
    audit(load_plan(clinic.plan(tmp_path, names, right, *rest)), tmp_path / "run")
    frame = RunFolder(tmp_path / "run").frame()
    assert frame["eligible"].all() and not frame["success"].any() and not called
    assert all(np.isnan(one).all() and len(one) == 2 for one in [*frame["handled"], *frame["clean_handled"]])


def test_close_images_are_said_to_be_close(run: tuple[Path, RunFolder]) -> None:
    frame = run[1].frame()
    # No change of a value exceeds eps, so its mean square does not either.
    floor = 20 * np.log10(65535 / frame["eps"])
    changed = frame["linf"] > 0
    assert changed.any() and (frame["psnr"][changed] >= floor[changed] - 1e-9).all()


def test_other_handlings_are_other_results(run: tuple[Path, RunFolder]) -> None:
    path, folder = run
    before = folder.describe()["shards"]
    path.write_text(path.read_text().replace('"blur1", "half", "8bit"', '"blur1"'))
    audit(load_plan(path), folder.path, update=True)
    after = folder.describe()
    assert not set(after["shards"]) & set(before)
    assert len(folder.frame()["handled"][0]) == 2
    kept = {entry["file"] for entry in after["exports"]}
    assert {f"exports/{file.name}" for file in (folder.path / "exports").iterdir()} == kept, "old exports are gone"


def test_what_no_file_can_hold_is_gone_before_it_is_handled(tmp_path: Path) -> None:
    names = ["case0.dcm", "case1.dcm"]
    for row, name in enumerate(names):
        clinic.xray(tmp_path / name, row)
    rest = (MODEL, "eps = [0.4]", '[survival]\nimages = "all"\nafter = ["blur1", "half"]')
    right = clinic.decided(clinic.plan(tmp_path, names, [0, 0], *rest))
    folder = RunFolder(tmp_path / "run")
    audit(load_plan(clinic.plan(tmp_path, names, right, *rest)), folder.path)
    frame = folder.frame()
    assert (frame["linf"][frame["attack"] == "bim"] > 0).all()
    for found, clean in zip(frame["handled"], frame["clean_handled"], strict=True):
        assert found == pytest.approx(clean, rel=1e-6), "after saving it is the clean image again"


def test_clean_images_are_judged_by_each_attacks_own_goal(tmp_path: Path) -> None:
    clinic.xray(tmp_path / "case0.dcm", 0)
    rest = (MODEL, THREAT, '[survival]\nimages = "all"\nafter = ["blur1"]')
    right = clinic.decided(clinic.plan(tmp_path, ["case0.dcm"], [0], *rest))
    path = clinic.plan(tmp_path, ["case0.dcm"], right, *rest)
    subject = load_subject(load_plan(path))
    with subject.victim:
        # Toward the second class the margin would be that of any other class.
        goal = "abc"[int(subject.victim.judge(subject.images([0])).argmin())]
    path.write_text(path.read_text().replace("tries = 2", f'tries = 2\ngoal = "towards: {goal}"'))
    audit(load_plan(path), tmp_path / "run")
    subject, frame = load_subject(load_plan(path)), RunFolder(tmp_path / "run").frame()
    for item in items(load_plan(path).calibrated(subject.scale)):
        image, targets = parse("blur1", subject.scale)(subject.images([0])), subject.targets([0])
        with subject.victim:
            expected = float(item.task.margin(subject.victim.judge(image), targets))
        for handled in frame["clean_handled"][frame["attack"] == item.name]:
            assert handled[1] == pytest.approx(expected, rel=1e-4, abs=1e-5)
