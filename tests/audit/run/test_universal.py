"""An audit with one change for many images: the split by patients, what is stored, and that it is learned once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palpate.attacks.universal.learning import _Learner
from palpate.audit.plan.items import items
from palpate.audit.run import learned as preparing
from palpate.audit.run.runner import audit
from palpate.audit.subject.subject import Subject, load_subject
from palpate.audit.work.learning import split
from palpate.errors import InputError
from palpate.report import write_report
from palpate.report.compute.results import summarise
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.audit.tiny import Heard

HEAD, RUN = tiny.PLAN[: tiny.PLAN.index("[[attacks]]")], tiny.PLAN[tiny.PLAN.index("[run]") :]
ATTACK = '[[attacks]]\nattack = "universal"\npasses = 6\n\n'
PLAN = HEAD + ATTACK + RUN + "\n[stability]\nimages = 0\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("universal") / "a"
    outcome = audit(tiny.write(folder, PLAN), folder / "run")
    assert outcome.status == "finished" and not outcome.failed
    return RunFolder(outcome.folder)


def learned_files(run: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.path / "learned").iterdir()}


def test_groups_are_split_by_patients_and_records_agree_with_what_was_learned(run: RunFolder) -> None:
    (attack,) = run.describe()["attacks"]
    (group,) = attack["learned"]["groups"]
    assert sorted(group["learned"] + group["unseen"]) == list(range(12))
    frame = run.frame()
    patients = [{frame["group"][frame["row"] == row][0] for row in group[side]} for side in ("learned", "unseen")]
    assert len(patients[0]) == len(patients[1]) == 3 and not patients[0] & patients[1]
    for budget, eps in enumerate(attack["eps"]):
        here = (frame["eps"] == eps) & np.isin(frame["row"], group["learned"])
        assert int(frame["success"][here].sum()) == group["beaten"][budget]
        assert int(frame["eligible"][here].sum()) == group["eligible"][budget]
    assert set(frame["evidence"][frame["eligible"]]) == {"attacked"} and frame["forwards"].max() == 2
    changes = np.load(next((run.path / "learned").iterdir()))["changes"]
    assert changes.shape == (2, 1, 1, 8, 8) and abs(changes).max() <= 16 and abs(changes[0]).max() <= 6


def test_the_report_has_both_rates_and_a_marked_picture(run: RunFolder) -> None:
    (attack,) = summarise(run)["attacks"]
    (change,) = attack["learned_changes"]
    frame, (group,) = run.frame(), run.describe()["attacks"][0]["learned"]["groups"]
    for point in change["points"]:
        for side in ("learned", "unseen"):
            here = (frame["eps"] == point["eps"]) & np.isin(frame["row"], group[side]) & frame["eligible"]
            assert point[side]["value"] == pytest.approx(frame["success"][here].mean())
            assert point[side]["low"] < point[side]["high"]
    assert b"Synthetic" in (run.path / change["picture"]).read_bytes()
    page = write_report(run).read_text()
    assert "One change for all images: universal" in page and "Synthetic: the change of all" in page


def test_no_unseen_image_is_used_while_learning(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, loads, begin = [], Subject.images, preparing.learned

    def learning(*arguments: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(Subject, "images", lambda self, rows: (loaded.extend(rows), loads(self, rows))[1])
            return begin(*arguments)

    monkeypatch.setattr(preparing, "learned", learning)
    plan = tiny.write(tmp_path / "a", PLAN)
    audit(plan, tmp_path / "a" / "run")
    (group,) = run.describe()["attacks"][0]["learned"]["groups"]
    assert set(loaded) == set(group["learned"])


def test_an_interrupted_audit_learns_once_or_the_same_again(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, folder = tiny.write(tmp_path / "a", PLAN), tmp_path / "a" / "run"
    steps, begun = [], _Learner.begin
    monkeypatch.setattr(_Learner, "begin", lambda self, start: (steps.append(1), begun(self, start))[1])
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "described", _killed)
        with pytest.raises(KeyboardInterrupt):
            audit(plan, folder)
    audit(plan, folder, progress=Heard(stop_after=1))
    assert len(steps) == 2 and tiny.shards(folder).items() < tiny.shards(run.path).items()
    # A damaged file is learned again.
    (file,) = (folder / "learned").iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    audit(plan, folder)
    assert len(steps) == 4 and tiny.shards(folder) == tiny.shards(run.path)
    assert learned_files(RunFolder(folder)) == learned_files(run)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({ATTACK: ATTACK + "share = 0.0\n"}, "share: 0 must be above 0 and below 1"),
        ({ATTACK: ATTACK + "by = 7\n"}, "by = 7 must be str"),
        (
            {'group = "patient"': 'group = "split"'},
            "a single patient, and at least two are needed: .* correct data.group",
        ),
        ({'group = "patient"': 'group = "split"', ATTACK: ATTACK + 'by = "class"\n'}, "two are .* correct data.group"),
    ],
)
def test_what_leaves_nothing_to_learn_or_unseen_is_refused(change: dict[str, str], said: str, tmp_path: Path) -> None:
    text = PLAN
    for old, new in change.items():
        text = text.replace(old, new)
    with pytest.raises(InputError, match=said):
        audit(tiny.write(tmp_path / "a", text), tmp_path / "a" / "run")


def test_classes_scanners_and_images_of_two_sizes(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "a", PLAN.replace(ATTACK, ATTACK + 'by = "class"\nshare = 0.3\n'))
    (item,) = items(plan)
    subject = load_subject(plan)
    groups = split(plan, subject, item.attack)
    assert [group.name for group in groups] == ["mild", "none", "severe"]
    for group in groups:
        rows = [*group.learned, *group.unseen]
        assert {plan.task.names[subject.table[row].label] for row in rows} == {group.name}
        sides = [{subject.table[row].group for row in side} for side in (group.learned, group.unseen)]
        assert sides[0] and sides[1] and not sides[0] & sides[1]
    (one,) = split(plan, subject, replace(item.attack, by="scanner"))
    assert one.name == "unknown scanner"
    wide = replace(subject.headers[0], shape=(1, 8, 9))
    with pytest.raises(InputError, match="one change fits images of one size, and these have 2 sizes"):
        split(plan, replace(subject, headers=(wide, *subject.headers[1:])), item.attack)
