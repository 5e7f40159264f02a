from __future__ import annotations

import shutil

import numpy as np
import pytest

from palpate.errors import StorageError
from palpate.report.compute.stability.maps import read_maps
from palpate.report.compute.stability.traces import known
from palpate.storage.runs import RunFolder
from palpate.storage.traces import TraceRow
from tests.report.known import measure, printed
from tests.report.pages import Page, page, section
from tests.report.traced import SIZE, WALKS, make_traced, of, trace_maps
from tests.report.world import PLAIN

TWO = ("fgsm", "pgd")


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> RunFolder:
    """Few attacks of a task without grades and disease."""
    return make_traced(tmp_path_factory.mktemp("plain") / "run", attacks=("fgsm", "pgd", "noise"), task=PLAIN)


def test_the_curves_are_the_medians_and_quartiles_of_the_images(traced, stability):
    frame = traced.traces()
    for attack in ("fgsm", "pgd", "smia"):
        mine = {name: column[frame["attack"] == attack] for name, column in frame.items()}
        steps = WALKS[attack].steps
        for curve in of(stability, attack).curves:
            for step in range(steps + 1):
                at = mine["step"] == step
                rows = mine["row"][at]
                images = [mine[curve.name][at][rows == row].mean() for row in np.unique(rows)]
                expected = np.quantile(images, [0.5, 0.25, 0.75])
                found = [getattr(curve, end)[step] for end in ("median", "low", "high")]
                assert [np.nan if one is None else one for one in found] == pytest.approx(expected, nan_ok=True)


def test_spreads_over_starts_are_those_of_the_maps_and_of_the_traces(traced, stability):
    identity = next(item["identity"] for item in traced.describe()["stability"]["items"] if item["attack"] == "pgd")
    maps = traced.trace_maps(identity)
    assert of(stability, "pgd").restarts("change").value == pytest.approx(maps["spread_starts"].mean() / stability.eps)
    frame = traced.traces()
    pgd = frame["attack"] == "pgd"
    beaten = {
        row: {
            bool(frame["margin"][pgd & (frame["row"] == row) & (frame["start"] == start)].min() <= 0)
            for start in range(3)
        }
        for row in np.unique(frame["row"][pgd])
    }
    assert of(stability, "pgd").restarts("differing").count == sum(len(both) > 1 for both in beaten.values())
    assert of(stability, "smia").restarts("change").value is None
    assert "no random numbers" in of(stability, "smia").restarts("change").note


def test_spreads_over_images_are_those_of_the_records_at_the_traced_budget(traced, stability):
    frame = traced.frame()
    rows = (frame["attack"] == "pgd") & (frame["eps"] == stability.eps) & frame["eligible"]
    drops = frame["clean_score"][rows] - frame["score"][rows]
    assert of(stability, "pgd").over_images("drop").value == pytest.approx(drops.mean())
    assert of(stability, "pgd").over_images("spread").value == pytest.approx(drops.std(ddof=1))
    assert of(stability, "pgd").over_images("success").count == frame["success"][rows].sum()
    assert of(stability, "noise").over_images("success").total == (frame["eligible"] & rows).sum()


def test_attacks_that_could_win_no_image_and_those_still_to_come_say_so(tmp_path):
    run = make_traced(tmp_path / "none", attacks=TWO, task=PLAIN)
    items = run.describe()["stability"]["items"]
    run.save_description({**run.describe(), "stability": {**run.describe()["stability"], "items": items[1:]}})
    assert "none of the chosen images was eligible" in of(measure(run).stability, "fgsm").sentence
    run = make_traced(tmp_path / "later", attacks=(*TWO, "smia"), task=PLAIN, leave_out=["pgd"])
    run.save_description({**run.describe(), "status": "unfinished", "finished": None})
    stability = measure(run).stability
    assert [(one.state, bool(one.sentence)) for one in stability.attacks] == [
        ("traced", True), ("unfinished", True), ("traced", True)
    ]  # fmt: skip
    assert "Not traced yet." in page(run).text


def test_rows_that_could_not_be_won_do_not_count(tmp_path):
    run = make_traced(tmp_path / "run", attacks=TWO, task=PLAIN)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    before = measure(run).stability
    rows = run.read_trace(item["identity"]).to_pylist()
    fields = ("margin", "value", "loss", "penalty", "kl_smoothed", "kl_final", "kl_clean", "cos_step", "cos_final",
              "linf", "l2", "plane_x", "plane_y")  # fmt: skip
    lost = [{**row, "row": 59, **dict.fromkeys(fields, float("nan"))} for row in rows if row["row"] == 1]
    run.write_trace(item["identity"], [TraceRow(**row) for row in [*rows, *lost]])
    assert of(measure(run).stability, "pgd") == of(before, "pgd")
    assert 59 not in known(run.traces())["row"]
    run.write_trace(item["identity"], [TraceRow(**row) for row in lost])
    assert of(measure(run).stability, "pgd").state == "no image"


def test_images_of_several_sizes_are_shown_as_large_as_they_are(tmp_path):
    run = make_traced(tmp_path / "run", attacks=TWO, task=PLAIN)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    maps = trace_maps(WALKS["pgd"], (1, 2, 3, 5), 3, 1.0)
    del maps["spread_images"]
    maps["sizes"][1] = (7, 5)
    for name in ("spread_starts", "change"):
        maps[name][1, 7:], maps[name][1, :, 5:] = np.nan, np.nan
    run.write_trace(item["identity"], [], maps)
    found = read_maps(run, item["identity"])
    assert [one.shape for one in found.change][:2] == [(SIZE, SIZE), (7, 5)]
    assert np.isfinite(found.change[1]).all() and found.shown[1].shape == (7, 5, 3)


def _cut(path):
    path.write_bytes(path.read_bytes()[:100])


def _flip(path):
    bytes_ = bytearray(path.read_bytes())
    # Near its end both formats keep what the file holds.
    bytes_[-80:-40] = b"x" * 40
    path.write_bytes(bytes_)


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
@pytest.mark.parametrize("harm", [_cut, _flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_trace_takes_only_itself_out_of_the_report(tmp_path, plain, suffix, harm):
    run, stability = RunFolder(tmp_path / "run"), measure(plain).stability
    shutil.copytree(plain.path, run.path)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    harm(run.trace(item["identity"]).with_suffix(suffix))
    damaged = measure(run).stability
    lost = of(damaged, "pgd")
    assert lost.state == "damaged" and lost.curves == [] and lost.across_images == of(stability, "pgd").across_images
    for name in ("fgsm", "noise"):
        assert of(damaged, name) == of(stability, name)
    file = f"stability/{item['identity']}.parquet"
    assert file in lost.sentence and "palpate audit" in lost.sentence and str(tmp_path) not in lost.sentence
    assert Page(section(run, "stability")).text.count(file) == 1
    text = printed(run, 400)
    assert f"pgd: {lost.sentence}" in text


def test_rows_that_do_not_belong_together_are_a_damaged_trace_too(tmp_path):
    run = make_traced(tmp_path / "run", attacks=TWO, task=PLAIN)
    for item in run.describe()["stability"]["items"]:
        rows = [TraceRow(**row) for row in run.read_trace(item["identity"]).to_pylist()]
        run.write_trace(item["identity"], [*rows, rows[0]])
    stability = measure(run).stability
    assert {one.state for one in stability.attacks} == {"damaged"}
    assert stability.sentences == ["No trace can be read."]
    assert "<svg" not in section(run, "stability")


@pytest.mark.filterwarnings("error")
def test_a_start_without_any_margin_says_nothing_of_its_image(tmp_path):
    run = make_traced(tmp_path / "run", attacks=TWO, task=PLAIN)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    rows = run.read_trace(item["identity"]).to_pylist()
    total = of(measure(run).stability, "pgd").restarts("differing").total
    for row in rows:
        if (row["row"], row["start"]) == (2, 1):
            row["margin"] = float("nan")
    run.write_trace(item["identity"], [TraceRow(**row) for row in rows])
    assert of(measure(run).stability, "pgd").restarts("differing").total == total - 1


@pytest.mark.parametrize("wrong", ["missing", "shape", "bytes"])
def test_maps_that_are_not_what_they_must_be_are_named(tmp_path, wrong):
    run = make_traced(tmp_path / "run", attacks=TWO, task=PLAIN)
    identity = run.describe()["stability"]["items"][1]["identity"]
    maps = run.trace_maps(identity)
    if wrong == "missing":
        del maps["change"]
    else:
        maps["spread_starts"] = maps["spread_starts"][:, 1:]
    run.write_trace(identity, [], maps)
    if wrong == "bytes":
        run.trace(identity).with_suffix(".npz").write_bytes(b"PK")
    with pytest.raises(StorageError, match=rf"{identity}\.npz.*[Dd]elete .*{identity}\.parquet"):
        read_maps(run, identity)
