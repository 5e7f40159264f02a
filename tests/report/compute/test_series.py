from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from palpate.errors import StorageError
from palpate.report.compute import box_series
from palpate.report.compute.headlines import WORST
from palpate.report.model.schema import Results, Series
from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from tests.report.dense import EPS, FLOOR, STRENGTH, WORLDS, make_dense
from tests.report.json_schema import SCHEMA, fits
from tests.report.known import measure


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("dense")
    return {kind: make_dense(folder / kind, kind, pictures=0) for kind in WORLDS}


@pytest.fixture(scope="module")
def measured(runs) -> dict[str, Results]:
    return {kind: measure(run) for kind, run in runs.items()}


def series(results: Results, name: str, part: str = "", statistic: str | None = None) -> Series:
    (found,) = [
        one for one in results.series if (one.name, one.part) == (name, part) and statistic in (None, one.statistic)
    ]
    return found


def column(run: RunFolder, attack: str, eps: float, field: str) -> np.ndarray:
    frame = run.frame()
    mine = (frame["attack"] == attack) & (frame["eps"] == eps)
    return frame[field][mine]


def test_means_and_medians_are_those_of_the_records(runs, measured):
    actual = runs["segmentation"].describe()["task"]["measures"]
    for index, one in enumerate(actual):
        made = series(measured["segmentation"], one["name"], one["part"], "mean")
        assert (made.unit, made.better) == (one["unit"], one["better"])
        for point in made.attacks["cospgd"]:
            values = np.array([row[index] for row in column(runs["segmentation"], "cospgd", point.eps, "measures")])
            assert point.figure.value == pytest.approx(np.nanmean(values))
            assert (point.figure.total, point.undefined) == (np.isfinite(values).sum(), np.isnan(values).sum())
            assert point.figure.low < point.figure.value < point.figure.high
    middle = series(measured["segmentation"], "hd95", "lesion", "median")
    values = [row[7] for row in column(runs["segmentation"], "cospgd", 4.0, "measures")]
    assert middle.attacks["cospgd"][2].figure.value == np.nanquantile(values, 0.5, method="lower")


def test_the_mean_score_is_listed_with_its_structures(runs, measured):
    made = series(measured["segmentation"], "dice")
    assert made.clean.value == pytest.approx(column(runs["segmentation"], "pgd", 1.0, "clean_score").mean())
    assert made.attacks["pgd"][1].figure.value == pytest.approx(
        column(runs["segmentation"], "pgd", 2.0, "score").mean()
    )


def test_success_per_structure_counts_what_was_above_the_floor(runs, measured):
    made = series(measured["segmentation"], "success", "lesion")
    assert made.clean is None and made.better == "lower"
    before = np.array([row[6] for row in column(runs["segmentation"], "cospgd", 2.0, "clean_measures")])
    after = np.array([row[6] for row in column(runs["segmentation"], "cospgd", 2.0, "measures")])
    figure = made.attacks["cospgd"][1].figure
    assert figure.total == (before > FLOOR).sum() < len(before)
    assert figure.count == ((before > FLOOR) & (after <= FLOOR)).sum() > 0


def test_findings_have_sensitivity_specificity_and_area(runs, measured):
    thresholds = runs["multilabel"].describe()["task"]["operating"]["thresholds"]
    for index, name in enumerate(measured["multilabel"].task.classes):
        truth = np.array([row[index] for row in column(runs["multilabel"], "pgd", 2.0, "truth")])
        found = np.array([row[index] for row in column(runs["multilabel"], "pgd", 2.0, "found")])
        clean = np.array([row[index] for row in column(runs["multilabel"], "pgd", 2.0, "clean_found")])
        read, read_before, known = found > thresholds[index], clean > thresholds[index], truth >= 0
        at = {
            one: series(measured["multilabel"], one, name).attacks["pgd"][1].figure
            for one in ("sensitivity", "specificity", "area_under_roc", "success")
        }
        assert at["sensitivity"].value == pytest.approx(read[truth == 1].mean())
        assert at["specificity"].value == pytest.approx((~read)[truth == 0].mean())
        assert at["area_under_roc"].value == pytest.approx(roc_auc_score(truth[known] == 1, found[known]))
        right = known & (read_before == (truth == 1))
        assert (at["success"].count, at["success"].total) == ((read != read_before)[right].sum(), right.sum())


def test_boxes_found_and_false_boxes_are_those_of_the_operating_point(runs, measured):
    made, alarms = series(measured["detection"], "recall"), series(measured["detection"], "false_positives")
    for at, eps in enumerate(EPS):
        truth = column(runs["detection"], "cospgd", eps, "truth")
        found = [row.reshape(-1, 6) for row in column(runs["detection"], "cospgd", eps, "found")]
        # In the made-up world a detection finds its box if it is above the strip of false ones.
        hits = sum(int(((rows[:, 1] > 0.5) & (rows[:, 3] < 0.7)).sum()) for rows in found)
        wrong = sum(int(((rows[:, 1] > 0.5) & (rows[:, 3] > 0.7)).sum()) for rows in found)
        figure = made.attacks["cospgd"][at].figure
        assert (figure.count, figure.total) == (hits, sum(row.size for row in truth) // 5)
        assert alarms.attacks["cospgd"][at].figure.value == pytest.approx(wrong / len(truth))


def test_average_precision_falls_and_froc_rises(measured):
    results = measured["detection"]
    for name in ("map50", "map"):
        values = [point.figure.value for point in series(results, name).attacks["cospgd"]]
        assert series(results, name).clean.value > values[0] > values[-1]
    assert [(one.attack, one.eps) for one in results.froc[:2]] == [(None, None), ("noise", 1.0)]
    assert len(results.froc) == 1 + len(STRENGTH) * len(EPS)
    for curve in results.froc:
        assert curve.false_positives == sorted(curve.false_positives) and curve.recall == sorted(curve.recall)
        assert len(curve.recall) == len(curve.false_positives) <= 80


def test_the_froc_score_is_the_mean_recall_at_the_seven_rates_of_the_field(runs, measured):
    for at, eps in enumerate(EPS):
        boxes = sum(row.size for row in column(runs["detection"], "cospgd", eps, "truth")) // 5
        found = column(runs["detection"], "cospgd", eps, "found")
        rows = np.concatenate([row.reshape(-1, 6) for row in found])
        # As above: a detection above the strip finds its box.
        right, thresholds = rows[:, 3] < 0.7, np.unique(rows[:, 1])[::-1]
        alarms = [0.0, *((~right & (rows[:, 1] >= least)).sum() / len(found) for least in thresholds)]
        recall = [0.0, *((right & (rows[:, 1] >= least)).sum() / boxes for least in thresholds)]
        rates = [0.125, 0.25, 0.5, 1, 2, 4, 8]
        expected = np.interp(rates, alarms, recall)
        figure = series(measured["detection"], "froc").attacks["cospgd"][at].figure
        assert figure.value == pytest.approx(expected.mean())
        drawn = next(one for one in measured["detection"].froc if (one.attack, one.eps) == ("cospgd", eps))
        assert np.interp(rates, drawn.false_positives, drawn.recall) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("kind", list(WORLDS))
def test_results_of_every_task_fit_the_schema_and_are_strict_json(measured, kind):
    stored = json.loads(SCHEMA.read_text())
    data = measured[kind].model_dump(mode="json")
    assert fits(json.loads(json.dumps(data, allow_nan=False)), stored, stored) == []
    assert Results.model_validate(data).model_dump(mode="json") == data
    assert data["clean"]["per_class"] == [] and data["worst_directions"] == [] and data["schema_version"] == 4
    assert all(not point["per_class"] for attack in data["attacks"] for point in attack["points"])


def test_a_classification_has_no_series(results):
    assert results.series == [] and results.froc == []


def test_the_verdict_says_what_a_reader_would_see(measured):
    change = r"Changes of at most \d in each stored value \([0-9.]+% of the range [−0-9]+ to \d+\) "
    expected = {
        "segmentation": rf"bring the mean Dice of “lesion” from 0\.95 down to 0\.\d\d{WORST}\.",
        "volume": rf"bring the mean Dice of “(anterior|posterior)” from 0\.99 down to 0\.\d\d{WORST}\.",
        "detection": rf"let the model find \d+ of 119 annotated boxes{WORST}, 119 of 119 without an attack\.",
        "multilabel": r"make the model misread “effusion” in \d+ of the \d+ images where it was correct\.",
    }
    for kind, words in expected.items():
        verdict = measured[kind].verdict
        assert re.fullmatch(change + words, verdict.sentence), verdict.sentence
    scope, largest = measured["segmentation"].verdict.details
    assert re.fullmatch(
        r"\d+ of 40 images keep a mean Dice above 0\.5 under attack \(40 of 40 without\)\. This is the worst case over "
        r"\d attacks; 95% interval [0-9.]+ to [0-9.]+%\.",
        scope,
    )
    assert re.match(r"At the largest budget, eps \d+, \d+ of 40 images keep a mean Dice above 0\.5 \(95%", largest)


def test_an_attack_that_left_its_budget_counts_at_its_real_distance(tmp_path):
    run = make_dense(tmp_path / "run", "segmentation", pictures=0)
    table = run.read_shard("cospgd").to_pylist()
    run.write_shard("cospgd", [Record(**{**row, "linf": row["linf"] * 4}) for row in table])
    results = measure(run)
    assert next(one for one in results.attacks if one.name == "cospgd").outside_budget
    made = series(results, "dice", "lesion")
    by_hand = {
        eps: np.fmin(lesions(run, "pgd", eps), lesions(run, "cospgd", eps / 4) if eps >= 4 else np.nan) for eps in EPS
    }
    for point in made.worst:
        assert point.figure.value == pytest.approx(np.nanmean(by_hand[point.eps]))
    assert made.worst[0].figure.value > made.attacks["cospgd"][0].figure.value


def lesions(run: RunFolder, attack: str, eps: float) -> np.ndarray:
    """The lesion's Dice of every image."""
    return np.array([row[6] for row in column(run, attack, eps, "measures")])


def test_records_that_do_not_fit_their_description_are_refused(tmp_path):
    run = make_dense(tmp_path / "a", "segmentation", pictures=0)
    stored = run.describe()
    run.save_description({**stored, "task": {**stored["task"], "measures": stored["task"]["measures"][:2]}})
    with pytest.raises(StorageError, match=r"9 measures and run\.json names 2"):
        measure(run)
    run = make_dense(tmp_path / "b", "detection", pictures=0)
    stored = run.describe()
    task = {**stored["task"], "classes": stored["task"]["classes"][:2]}
    run.save_description({**stored, "task": task, "data": {**stored["data"], "per_class": [1, 2]}})
    with pytest.raises(StorageError, match="a class outside 0 to 1"):
        measure(run)
    run = make_dense(tmp_path / "c", "multilabel", pictures=0)
    stored = run.describe()
    task = {**stored["task"], "classes": stored["task"]["classes"][:2], "operating": {}}
    run.save_description({**stored, "task": task, "data": {**stored["data"], "per_class": [1, 2]}})
    with pytest.raises(StorageError, match="only a part of its findings or boxes"):
        measure(run)


@pytest.mark.parametrize("alarms", [[0.0], [0.0, 0.0], [], [0.0, 0.25, 2.0]])
def test_a_detector_without_a_false_box_has_a_curve_too(alarms: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    task = SimpleNamespace(classes=["lesion"], operating=SimpleNamespace(confidence=0.5, overlap=0.5))
    reading = SimpleNamespace(
        description=SimpleNamespace(task=task), panel=SimpleNamespace(images=SimpleNamespace(truth=[(), ()]))
    )
    states = SimpleNamespace(attacked={}, worst={})
    found = np.linspace(0, 1, len(alarms))
    detector = box_series.Detector(reading, states)
    monkeypatch.setattr(detector, "matches", lambda _: SimpleNamespace(froc=lambda _: (np.array(alarms), found)))
    curve = detector.froc(None, None, None)
    assert curve.false_positives == alarms and curve.recall == found.tolist()
