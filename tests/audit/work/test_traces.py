"""Every audit traces its attacks on a few images, keeps what is traced, and changes nothing of the records."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.attacks.budgets import at
from palpate.audit.plan.items import items
from palpate.audit.plan.plan import load_plan
from palpate.audit.run.runner import audit
from palpate.audit.subject.subject import load_subject
from palpate.audit.work import traces
from palpate.audit.work.trace_maps import Map, gathered
from palpate.errors import StorageError
from palpate.seeds import derive
from palpate.stability import trace
from palpate.storage.runs import RunFolder
from palpate.streams import Streams
from tests.audit import tiny
from tests.audit.tiny import Heard


def stability_of(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text())["stability"]


@pytest.fixture(scope="module", autouse=True)
def _all_that_is_asked_for() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "SHARE", 1000)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed; not to be written to."""
    folder = tmp_path_factory.mktemp("traces") / "plan"
    audit(tiny.write(folder), folder / "run")
    return folder / "run"


def test_gradient_attacks_are_traced_and_the_others_are_named(run: Path) -> None:
    described = stability_of(run)
    assert {key: described[key] for key in ("images", "starts", "smoothed", "eps")} == {
        "images": 4,
        "starts": 3,
        "smoothed": True,
        "eps": 6.0,
    }
    assert [(item["attack"], item["draws"], item["weight"]) for item in described["items"]] == [
        ("pgd", True, None),
        ("hiding", False, 0.5),
    ]
    assert described["untraced"] == ["noise"]
    assert all(item["seconds"] > 0 for item in described["items"])


def test_the_first_images_that_an_attack_can_win_are_traced_from_all_classes(run: Path) -> None:
    frame, records = RunFolder(run).traces(), RunFolder(run).frame()
    for attack, classes in (("pgd", 3), ("hiding", 2)):
        rows = np.unique(frame["row"][frame["attack"] == attack])
        mine = (records["attack"] == attack) & records["eligible"]
        winnable = dict.fromkeys(zip(records["row"][mine].tolist(), records["label"][mine].tolist(), strict=True))
        queues = {label: [row for row, own in winnable if own == label] for _, label in winnable}
        assert len(rows) == 4 and len({tiny.label(row) for row in rows.tolist()}) == classes
        for queue in queues.values():
            taken = [row for row in queue if row in rows]
            assert taken == queue[: len(taken)], "of each class the first"


def test_the_trace_is_that_of_the_attack_at_the_traced_budget(tmp_path: Path) -> None:
    # Steps so short that the starts end apart.
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace("steps = 3", "steps = 3\nstep = 0.1"))
    audit(plan, tmp_path / "run")
    subject = load_subject(plan)
    plan = plan.calibrated(subject.scale)
    frame, item = RunFolder(tmp_path / "run").traces(), items(plan)[0]
    mine = frame["attack"] == "pgd"
    rows = np.unique(frame["row"][mine]).tolist()
    seeds = [derive(3, item.identity, subject.table[row].name) for row in rows]
    found = trace(
        at(item.attack, 6.0),
        subject.victim,
        item.task,
        subject.images(rows),
        subject.targets(rows),
        generator=Streams(seeds),
        starts=3,
        smoothed=True,
    )
    for name in ("margin", "kl_smoothed", "cos_final", "plane_y"):
        table = frame[name][mine].reshape(4, 3, 4).swapaxes(0, 1)
        np.testing.assert_allclose(table, getattr(found, name).numpy(), rtol=1e-4, atol=1e-6)
    assert (frame["linf"][mine] <= 6.0 * (1 + 1e-6)).all() and (frame["eps"] == 6.0).all()
    maps = RunFolder(tmp_path / "run").trace_maps(stability_of(tmp_path / "run")["items"][0]["identity"])
    assert maps["rows"].tolist() == rows and (maps["spread_starts"] > 0).any()
    np.testing.assert_allclose(maps["spread_starts"], found.last.std(0)[:, 0].numpy(), atol=1e-3)
    np.testing.assert_allclose(maps["spread_images"], found.last.std(1).mean(0)[0].numpy(), atol=1e-3)
    assert frame["image"][mine][0] == subject.table[rows[0]].name
    assert frame["group"][mine][0] == subject.table[rows[0]].group


def test_the_maps_lie_on_the_image_as_the_gallery_shows_it(run: Path) -> None:
    folder = RunFolder(run)
    drawn, still = (folder.trace_maps(item["identity"]) for item in stability_of(run)["items"])
    frame = folder.traces()
    rows = drawn["rows"].tolist()
    assert rows == np.unique(frame["row"][frame["attack"] == "pgd"]).tolist()
    assert drawn["shown"].dtype == np.uint8 and drawn["shown"].shape == (4, 8, 8, 3)
    for place, row in enumerate(rows):
        stored = np.asarray(Image.open(run.parent / f"image{row}.png"))
        assert (drawn["shown"][place] == stored[..., None]).all()
    last = (frame["attack"] == "pgd") & (frame["step"] == 3) & (frame["start"] == 0)
    np.testing.assert_allclose(np.linalg.norm(drawn["change"], axis=(1, 2)), frame["l2"][last], rtol=1e-5)
    assert not np.isnan(drawn["spread_starts"]).any() and np.isnan(still["spread_starts"]).all()
    assert drawn["spread_images"].shape == (8, 8) and bool(drawn["draws"]) and not still["draws"]
    assert drawn["sizes"].tolist() == [[8, 8]] * 4
    np.testing.assert_allclose(still["spread_images"], still["change"].std(0, ddof=1), rtol=1e-4, atol=1e-5)


def test_ctrl_c_between_traces_keeps_the_first_and_the_next_call_goes_on(tmp_path: Path, run: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    outcome = audit(plan, tmp_path / "run", progress=Heard(stop_tracing_after=1))
    assert outcome.interrupted and outcome.status == "unfinished"
    assert [item["attack"] for item in stability_of(tmp_path / "run")["items"]] == ["pgd"]
    heard = Heard()
    assert audit(plan, tmp_path / "run", progress=heard).status == "finished"
    assert heard.shards == [] and heard.traces == ["hiding, step by step on 4 images"]
    assert heard.units == heard.total == 4
    assert tiny.traces(tmp_path / "run") == tiny.traces(run)
    assert tiny.shards(tmp_path / "run") == tiny.shards(run)


def test_a_finished_run_is_not_traced_again(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    described, heard = (tmp_path / "run" / "run.json").read_bytes(), Heard()
    audit(plan, tmp_path / "run", progress=heard)
    assert heard.traces == [] and (tmp_path / "run" / "run.json").read_bytes() == described


@pytest.mark.parametrize("changed", ["images = 2", "starts = 2", "smoothed = false"])
def test_a_changed_section_leaves_the_records_and_traces_anew(tmp_path: Path, changed: str, run: Path) -> None:
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run")
    plan, heard = tiny.rewrite(tmp_path / "plan", f"{tiny.PLAN}\n[stability]\n{changed}\n"), Heard()
    with pytest.raises(StorageError, match=r"Changed: stability\."):
        audit(plan, tmp_path / "run")
    assert audit(plan, tmp_path / "run", update=True, progress=heard).status == "finished"
    assert heard.shards == [] and len(heard.traces) == 2
    assert tiny.shards(tmp_path / "run") == tiny.shards(run)
    frame, name = RunFolder(tmp_path / "run").traces(), changed.partition(" ")[0]
    pgd = frame["attack"] == "pgd"
    assert len(np.unique(frame["row"][pgd])) == (2 if name == "images" else 4)
    assert set(frame["start"].tolist()) == ({0, 1} if name == "starts" else {0, 1, 2})
    assert np.isnan(frame["kl_smoothed"]).all() == (name == "smoothed")


def test_traces_can_be_switched_off(tmp_path: Path, run: Path) -> None:
    heard = Heard()
    plan = tiny.write(tmp_path / "plan", f"{tiny.PLAN}\n[stability]\nimages = 0\n")
    assert audit(plan, tmp_path / "run", progress=heard).status == "finished"
    assert stability_of(tmp_path / "run") is None and heard.traces == [] and not tiny.traces(tmp_path / "run")
    assert not len(RunFolder(tmp_path / "run").traces()["row"])
    assert tiny.shards(tmp_path / "run") == tiny.shards(run)


def test_a_run_of_before_there_were_traces_gets_them_and_keeps_its_records(tmp_path: Path, run: Path) -> None:
    plan = tiny.write(tmp_path / "plan", f"{tiny.PLAN}\n[stability]\nimages = 0\n")
    audit(plan, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    described = json.loads(path.read_text())
    del described["stability"]
    path.write_text(json.dumps(described))
    (tmp_path / "run" / "plan.toml").write_text(tiny.PLAN)
    heard = Heard()
    audit(tiny.rewrite(tmp_path / "plan", tiny.PLAN), tmp_path / "run", progress=heard)
    assert heard.shards == [] and len(heard.traces) == 2
    assert tiny.traces(tmp_path / "run") == tiny.traces(run)


def test_a_renamed_attack_keeps_its_trace_under_the_new_name(tmp_path: Path) -> None:
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run")
    before = stability_of(tmp_path / "run")["items"]
    plan, heard = tiny.rewrite(tmp_path / "plan", tiny.PLAN.replace('"hiding"', '"masking"')), Heard()
    audit(plan, tmp_path / "run", update=True, progress=heard)
    after = stability_of(tmp_path / "run")["items"]
    assert heard.traces == [] and [one["identity"] for one in after] == [one["identity"] for one in before]
    assert after[1]["attack"] == "masking" and after[1]["seconds"] == before[1]["seconds"]
    assert list(dict.fromkeys(RunFolder(tmp_path / "run").traces()["attack"])) == ["pgd", "masking"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("strange derivative\nmore"), "model: it fails under attack: RuntimeError: strange derivative."),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory for one image at a time"),
        (MemoryError(), "not enough memory for one image at a time"),
    ],
)
def test_a_trace_that_fails_is_a_finding_and_is_tried_again(
    tmp_path: Path, error: BaseException, said: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(attack: Any, *arguments: Any, **settings: Any) -> Any:
        if attack.random_start:
            raise error
        return trace(attack, *arguments, **settings)

    plan = tiny.write(tmp_path / "plan")
    with monkeypatch.context() as patch:
        patch.setattr(traces, "trace", fails)
        outcome = audit(plan, tmp_path / "run")
    assert outcome.status == "finished" and outcome.failed == ()
    (finding,) = [finding for finding in outcome.findings if finding.subject == "pgd"]
    assert finding.level == "warning" and finding.text.startswith("Its steps could not be traced: ")
    assert said in finding.text
    assert [item["attack"] for item in stability_of(tmp_path / "run")["items"]] == ["hiding"]
    assert not [finding for finding in audit(plan, tmp_path / "run").findings if finding.subject == "pgd"]
    assert tiny.traces(tmp_path / "run") == tiny.traces(run)


def test_an_attack_that_failed_is_not_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace("model.py:build", "model.py:blocked"))
    monkeypatch.setattr(traces, "trace", None)
    outcome = audit(plan, tmp_path / "run")
    assert outcome.failed == ("pgd", "hiding")
    assert stability_of(tmp_path / "run")["items"] == [] and stability_of(tmp_path / "run")["untraced"] == ["noise"]


def test_an_attack_that_can_win_no_image_is_not_traced(tmp_path: Path) -> None:
    text = tiny.PLAN.replace('split = "test"', 'file = "image0.png"')
    assert audit(tiny.write(tmp_path / "plan", text), tmp_path / "run").status == "finished"
    (item,) = stability_of(tmp_path / "run")["items"]
    assert item["attack"] == "pgd", "image0 shows no disease that could be hidden"
    maps = RunFolder(tmp_path / "run").trace_maps(item["identity"])
    assert maps["rows"].tolist() == [0] and "spread_images" not in maps


def test_few_images_at_once_where_memory_is_short(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(attack: Any, victim: Any, task: Any, images: Any, *rest: Any, **settings: Any) -> Any:
        seen.append(len(images))
        return trace(attack, victim, task, images, *rest, **settings)

    monkeypatch.setattr(traces, "trace", counted)
    # pgd holds 4 images and 4 outputs of 64 numbers for each image, smia of two steps 3 and 3.
    monkeypatch.setattr(traces, "MEMORY", 2 * 8 * 64 * 4)
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run")
    assert seen == [2, 2, 2, 2]
    few, many = (RunFolder(folder).traces() for folder in (tmp_path / "run", run))
    np.testing.assert_allclose(few["margin"], many["margin"], atol=1e-4)
    monkeypatch.setattr(traces, "MEMORY", 1)
    seen.clear()
    audit(tiny.write(tmp_path / "other"), tmp_path / "other" / "run")
    assert seen == [1] * 8


def test_a_random_model_repeats_its_traces(tmp_path: Path) -> None:
    text = tiny.PLAN.replace("model.py:build", "model.py:noisy")
    plan = tiny.write(tmp_path / "plan", text.replace("shard = 5", 'shard = 5\nrandom_model = "allow"\ndraws = 4'))
    audit(plan, tmp_path / "whole")
    audit(plan, tmp_path / "run", progress=Heard(stop_tracing_after=1))
    torch.manual_seed(2)
    audit(plan, tmp_path / "run")
    assert tiny.traces(tmp_path / "run") == tiny.traces(tmp_path / "whole")


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_a_damaged_trace_is_named_with_the_fix(tmp_path: Path, suffix: str, run: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    path = RunFolder(tmp_path / "run").trace(stability_of(tmp_path / "run")["items"][0]["identity"]).with_suffix(suffix)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        StorageError, match=rf"{path.name} is damaged.*Delete .*: palpate computes only this part again"
    ):
        audit(plan, tmp_path / "run")
    path.unlink()
    assert audit(plan, tmp_path / "run").status == "finished"
    assert tiny.traces(tmp_path / "run") == tiny.traces(run)


def test_images_of_several_sizes_share_an_array_with_nothing_beside_them() -> None:
    def one(row: int, height: int, width: int) -> Map:
        change = np.full((height, width), row, np.float32)
        shown = np.zeros((height, width, 3), np.uint8)
        return Map(row, shown, change + 1, change, torch.zeros(2, 1, height, width), ((1, height, width), None, 0))

    maps = gathered([one(3, 2, 5), one(7, 4, 3)], draws=True)
    assert maps["sizes"].tolist() == [[2, 5], [4, 3]] and maps["change"].shape == (2, 4, 5)
    assert (maps["change"][0, :2] == 3).all() and np.isnan(maps["change"][0, 2:]).all()
    assert (maps["spread_starts"][1, :, :3] == 8).all() and np.isnan(maps["spread_starts"][1, :, 3:]).all()
    assert (maps["shown"][1, :, 3:] == 255).all() and not maps["shown"][1, :, :3].any()
    assert "spread_images" not in maps


@pytest.mark.parametrize(
    ("section", "spent", "expected"),
    [
        ("", 0, (1, 1)),
        ("", 3 * 30 * 20, (1, 1)),
        ("", 4 * 30 * 20, (2, 1)),
        ("", 31 * 30 * 20, (4, 1)),
        ("", 64 * 30 * 20, (4, 2)),
        ("", 10**9, (4, 3)),
        ("[stability]\nsmoothed = false\n", 4 * 20 * 20, (2, 1)),
        ("[stability]\nstarts = 2\n", 0, (4, 2)),
    ],
)
def test_a_trace_costs_a_twentieth_of_its_attack_unless_the_plan_says_how_much(
    tmp_path: Path, section: str, spent: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "SHARE", 0.05)
    (tmp_path / "plan.toml").write_text(f"{tiny.PLAN}\n{section}")
    assert traces.affordable(load_plan(tmp_path / "plan.toml"), 10, spent) == expected


def test_cheap_attacks_are_traced_on_less_and_what_was_traced_before_stays(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run")
    monkeypatch.setattr(traces, "SHARE", 0.05)
    heard = Heard()
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run", progress=heard)
    assert heard.traces == [] and stability_of(tmp_path / "run")["images"] == 4
    audit(tiny.write(tmp_path / "plan"), tmp_path / "other")
    described = stability_of(tmp_path / "other")
    assert (described["images"], described["starts"]) == (1, 1)
    assert tiny.shards(tmp_path / "other") == tiny.shards(run)
