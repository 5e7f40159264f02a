"""The study's runner on a small made benchmark: identities, resuming, equal passes, links, the command of a cell."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from benchmarks.smia_study import __main__ as command
from benchmarks.smia_study import ablation, cells, measure, run
from benchmarks.smia_study.attacks import PASSES, Peer, cost, peer_of, study
from benchmarks.smia_study.cell import STAGES
from benchmarks.smia_study.suite import Benchmark
from PIL import Image

from palpate.storage.traces import FIELD_NAMES
from palpate.victim import Tuning

MODEL = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 3)
    )
"""
PLAN = """
[model]
factory = "model.py:build"
bounds = [0, 255]
[model.preprocess]
mean = [127.5]
std = [63.0]
[data]
table = "data/labels.csv"
label = "label"
[task]
kind = "multiclass"
classes = ["a", "b", "c"]
[threat]
norm = "linf"
eps = [4]
[[attacks]]
attack = "bim"
"""
PEERS = tuple(
    peer_of(name)
    for name in ("bim", "pgd", "smia", "steadfast", "smia-perturbation-distribution-through", "di", "bim-random-start")
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A benchmark of twelve images, labelled by the network itself, of which four are labelled wrongly."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "data").mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "plan.toml").write_text(PLAN)
    scope: dict = {}
    exec(MODEL, scope)
    random, lines = np.random.default_rng(0), ["file,label,split"]
    for number in range(16):
        image = random.integers(0, 256, (24, 24), dtype=np.uint8)
        Image.fromarray(image).save(folder / "data" / f"{number}.png")
        with torch.no_grad():
            found = int(scope["build"]()((torch.tensor(image)[None, None].float() - 127.5) / 63).argmax())
        label = (found + (number % 3 == 2)) % 3
        lines.append(f"{number}.png,{'abc'[label]},{'test' if number < 12 else 'val'}")
    (folder / "data" / "labels.csv").write_text("\n".join(lines) + "\n")
    return Benchmark(
        "made",
        folder,
        "made",
        eps=(2.0, 4.0),
        scan=(2.0,),
        images=10,
        trials=4,
        batch=4,
        milliseconds=1.0,
        tuning=Tuning(fold=True),
        handlings=("8bit", "blur1"),
    )


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """The cache after an undisturbed run, with its cells."""
    root = tmp_path_factory.mktemp("cache")
    found = cells.cells("study", [made], PEERS)
    run.run(found, run.Grounds(Path("absent")), root)
    return root, found


def about(cell, root):
    return json.loads(cell.file(".json", root).read_text())


def lines(cell, root):
    table = pq.read_table(cell.file(".parquet", root, about(cell, root)["rows"]))
    return {name: table[name].to_pylist() for name in table.column_names if name != "step_seconds"}


def test_names_and_keys_of_cells_are_their_own():
    for stage in STAGES:
        found = cells.cells(stage, command.BENCHMARKS)
        assert len({(cell.benchmark.name, cell.name) for cell in found}) == len(found)
        assert all("/" not in cell.name for cell in found)
    assert len({cell.key for cell in cells.cells("study", command.BENCHMARKS)}) == len(
        cells.cells("study", command.BENCHMARKS)
    )


def test_identity_changes_with_all_that_decides_the_lines(made, whole):
    ground = run.Grounds(Path("absent"))(made, "test")
    found = {cell.name: cell for cell in whole[1]}
    bim = found["bim_eps4_steps_seed0"]
    others = [
        found["bim_eps2_steps_seed0"],
        found["smia_eps4_steps_seed0"],
        found["pgd_eps4_steps_seed0"],
        replace(bim, steps=7),
    ]
    assert len({measure.identity(cell, ground) for cell in (bim, *others)}) == 5
    assert measure.identity(found["pgd_eps4_steps_seed1"], ground) != measure.identity(others[2], ground)
    assert measure.identity(bim, ground) == measure.identity(replace(bim), run.Grounds(Path("x"))(made, "test"))
    fewer = run.Grounds(Path("absent"))(replace(made, images=5), "test")
    assert measure.identity(bim, fewer) != measure.identity(bim, ground)


def test_attacks_at_equal_passes_spend_what_they_were_asked_to(whole):
    root, found = whole
    for cell in found:
        columns, said = lines(cell, root), about(cell, root)
        spent = {
            f + b for f, b, ok in zip(columns["forwards"], columns["backwards"], columns["eligible"], strict=True) if ok
        }
        assert spent == {said["passes"]}
        if cell.mode == "passes":
            assert PASSES - sum(cost(cell.peer)) < said["passes"] <= PASSES
        else:
            assert said["steps"] == 20
    assert not all(columns["eligible"])
    assert {f for f, ok in zip(columns["forwards"], columns["eligible"], strict=True) if not ok} == {0}


def test_a_step_costs_one_backward_pass_for_every_branch_that_is_differentiated():
    costs = {name: cost(peer_of(name)) for name in ("bim", "smia", "di", "smia-perturbation-distribution-through")}
    assert list(costs.values()) == [(1, 1), (2, 1), (2, 1), (2, 2)]


def test_another_cost_than_it_should_be_is_refused(made, tmp_path, monkeypatch):
    cell = next(cell for cell in cells.cells("study", [made], PEERS) if cell.peer.name == "bim")
    monkeypatch.setattr(measure, "cost", lambda peer: (1, 2))
    with pytest.raises(RuntimeError, match="other passes"):
        run.run([cell], run.Grounds(Path("absent")), tmp_path)


def test_rows_that_are_one_computation_are_run_once_and_linked(whole):
    root, found = whole
    named = {cell.name: cell for cell in found}
    for linked, source in (
        ("bim_eps4_passes_seed0", "bim_eps4_steps_seed0"),
        ("bim-random-start_eps4_steps_seed2", "pgd_eps4_steps_seed2"),
    ):
        assert about(named[linked], root)["rows"] == source
        assert not named[linked].file(".parquet", root).exists()
        assert named[source].file(".parquet", root).is_file()
    assert not named["smia_eps4_passes_seed0"].linked
    assert not named["bim_eps4_steps_seed0"].linked


def test_lines_say_what_happened_to_every_image(whole, made):
    root, found = whole
    columns = lines(found[0], root)
    assert columns["row"] == list(range(10))
    eligible = np.array(columns["eligible"])
    success, margin = np.array(columns["success"]), np.array(columns["margin"])
    assert success.any()
    assert np.array_equal(success, eligible & (margin <= 0))
    assert np.array_equal(np.array(columns["score"]) == 0, success | ~eligible)
    assert max(columns["linf"]) <= found[0].eps * (1 + 1e-6)
    assert np.array_equal(np.array(columns["delta_sd"]) > 0, eligible)
    for name in ("8bit", "blur1"):
        handled = np.array(columns[f"handled_margin_{name}"])
        clean = np.array(columns[f"clean_handled_margin_{name}"])
        assert np.allclose(handled[~eligible], clean[~eligible])
        assert (handled < clean)[success].all()
    with np.load(found[0].file(".npz", root)) as stored:
        assert stored["change"].shape == (10, 1, 24, 24)
        assert stored["change"].dtype == np.float16


def test_what_a_kill_left_is_taken_up_again(made, whole, tmp_path, monkeypatch):
    undisturbed, found = whole
    calls, packed = [], measure._packed

    def killed(changes):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return packed(changes)

    monkeypatch.setattr(measure, "_packed", killed)
    with pytest.raises(KeyboardInterrupt):
        run.run(found, run.Grounds(Path("absent")), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert len(before) == 3
    ran = run.run(found, run.Grounds(Path("absent")), tmp_path)
    assert ran == sum(not cell.linked for cell in found) - 3
    assert all(path.read_bytes() == data for path, data in before.items())
    for cell in found:
        assert lines(cell, tmp_path) == lines(cell, undisturbed)
    assert run.run(found, run.Grounds(Path("absent")), tmp_path) == 0


def test_a_cell_whose_attack_changed_is_run_again(made, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    changed = tuple(replace(peer, parameters=(("weight", 0.25),)) if peer.name == "smia" else peer for peer in PEERS)
    again = cells.cells("study", [made], changed)
    ran = run.run(again, run.Grounds(Path("absent")), tmp_path)
    assert ran == sum(cell.peer.name == "smia" and not cell.linked for cell in again)


def test_a_cell_that_runs_elsewhere_is_left_to_that_process(made, tmp_path):
    cell = cells.cells("study", [made], PEERS)[0]
    with run._held(cell, tmp_path) as mine:
        assert mine
        assert run.run([cell], run.Grounds(Path("absent")), tmp_path) == 0
    assert run.run([cell], run.Grounds(Path("absent")), tmp_path) == 1


@pytest.mark.parametrize("name", ["smia_eps4_passes_seed0", "bim_eps4_passes_seed0"])
def test_the_command_of_a_cell_reruns_it(name, made, whole, tmp_path, monkeypatch, capsys):
    root, found = whole
    cell = next(cell for cell in found if cell.name == name)
    monkeypatch.setattr(command, "BENCHMARKS", (made,))
    arguments = about(cell, root)["command"].split()[3:]
    command.main([*arguments, "--cache", str(tmp_path), "--data", str(tmp_path)])
    assert lines(cell, tmp_path) == lines(cell, root)
    assert {path.stem for path in tmp_path.rglob("*.parquet")} == {cell.source}
    command.main([*arguments, "--list"])
    assert cell.command in capsys.readouterr().out


def test_every_attack_of_the_study_is_one_of_the_catalog():
    assert {peer.name for peer in study()} >= {"bim", "pgd", "smia", "steadfast", "apgd-margin"}
    assert Peer("smia", "smia").build(1.0, 20).run_to_end


def test_traces_have_every_step_of_every_eligible_image(made, tmp_path):
    found = cells.cells("trace", [made], [peer_of("pgd")])
    assert run.run(found, run.Grounds(Path("absent")), tmp_path) == 1
    table = pq.read_table(found[0].file(".parquet", tmp_path))
    eligible = lines(cells.cells("study", [made], [peer_of("bim")])[0], whole_of(made, tmp_path))["eligible"]
    assert tuple(table.column_names) == FIELD_NAMES
    assert table.num_rows == sum(eligible) * 3 * 21
    assert set(table["start"].to_pylist()) == {0, 1, 2}
    assert run.run(found, run.Grounds(Path("absent")), tmp_path) == 0


def whole_of(made, root):
    run.run(cells.cells("study", [made], [peer_of("bim")]), run.Grounds(Path("absent")), root)
    return root


def test_the_ablation_decides_by_its_rule(made, tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "BENCHMARKS", ("made",))
    present, strong, weak = (ablation.point("step", "label", False, weight) for weight in (0.5, 0.25, 0.9))
    assert present.name == ablation.PRESENT
    monkeypatch.setattr(ablation, "peers", lambda: (Peer("bim", "bim"), present, strong, weak))
    found = cells.cells("ablation", [made])
    assert {cell.split for cell in found} == {"validation"}
    run.run(found, run.Grounds(Path("absent")), tmp_path)
    base = np.linspace(0.1, 0.4, 40)
    drops = {"bim": base, present.name: base, strong.name: base + 0.2, weak.name: base - 0.1}

    def read(path):
        name = next(cell.peer.name for cell in found if cell.source == path.stem)
        return ablation.Column(drops[name], base > 0.2, {}, 30.0)

    monkeypatch.setattr(ablation, "read", read)
    outcome = ablation.decide(found, tmp_path, "again")
    assert (outcome["best"], outcome["default"]) == (strong.name, strong.name)
    assert outcome["lead"]["low"] == pytest.approx(0.2) and outcome["missing"] == []
    assert [point["mean_rank"] for point in outcome["points"]] == [None, 2.0, 1.0, 3.0]
    drops[strong.name] = base + np.where(np.arange(40) % 2, 0.3, -0.29)
    outcome = ablation.decide(found, tmp_path, "again")
    assert (outcome["best"], outcome["default"]) == (strong.name, present.name)
    assert json.loads((tmp_path / "ablation.json").read_text()) == outcome
