"""The worst case of every figure, and the images that count, of whole run folders, against their records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from palpate.report.compute.lessons import lessons
from palpate.report.model.schema import Results, Series
from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from tests.report.dense import EPS, FLOOR, STRENGTH, make_dense
from tests.report.known import measure, render
from tests.report.pages import Page
from tests.report.world import DISEASE

EMPTY = 5
"""Images without a box."""


def changed(run: RunFolder, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> RunFolder:
    """The run with some columns of its records changed."""
    for attack in STRENGTH:
        run.write_shard(attack, [Record(**{**row, **edit(row)}) for row in run.read_shard(attack).to_pylist()])
    return run


def series(results: Results, name: str, part: str = "", statistic: str = "") -> Series:
    found = [one for one in results.series if (one.name, one.part) == (name, part)]
    return next(one for one in found if statistic in ("", one.statistic))


def stacked(run: RunFolder, field: str, eps: float) -> np.ndarray:
    """A list column of all attacks at a budget: [attack, image, ...]."""
    frame = run.frame()
    return np.array([np.stack([*frame[field][(frame["attack"] == name) & (frame["eps"] == eps)]]) for name in STRENGTH])


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A detector's run in which five images have no box; the model finds a box in the first of them."""

    def edit(row: dict[str, Any]) -> dict[str, Any]:
        if row["row"] >= EMPTY:
            return {}
        found = (0.0, 0.9, 0.1, 0.1, 0.2, 0.2) if row["row"] == 0 else ()
        score = float(row["row"] > 0)
        same = {"clean_found": found, "found": found, "clean_score": score, "score": score, "clean_right": score > 0}
        return {**same, "truth": (), "eligible": False, "success": False, "evidence": "not attacked", "linf": 0.0}

    return changed(make_dense(tmp_path_factory.mktemp("boxes") / "run", "detection", pictures=0), edit)


@pytest.fixture(scope="module")
def boxes(emptied: RunFolder) -> Results:
    return measure(emptied)


def test_images_without_a_box_are_named_and_do_not_count(emptied: RunFolder, boxes: Results) -> None:
    results, frame = boxes, emptied.frame()
    clean = results.clean
    assert (clean.accuracy.count, clean.accuracy.total, clean.nothing_to_lose) == (39, 40, 5)
    assert (clean.attackable.count, clean.attackable.total) == (35, 35)
    (worst,) = results.worst_case
    for point in worst.points:
        beaten = frame["success"] & (frame["linf"] <= point.eps * 1.0001)
        assert (point.figure.count, point.figure.total) == (35 - len(set(frame["row"][beaten])), 35)
    for attack in results.attacks:
        assert {one.robust_accuracy.total for one in attack.points if one.robust_accuracy} == {35}
    scope = results.verdict.details[0]
    assert "images keep an F1 above 0.5 under attack (35 of 35 without)." in scope
    assert scope.endswith("Of 40 images, 35 are attackable; 5 without anything to lose do not count.")
    assert "of the attackable images acceptable" in lessons(results.model_dump(mode="json"))[2]
    text = " ".join(Page(render(emptied)).text.split())
    assert "35/35 attackable images" in text and "5 without anything to lose" in text
    assert "Of 40 images, 35 are attackable; 5 without anything to lose" in text


def test_the_mean_f1_counts_images_with_boxes_and_false_boxes_count_all(emptied: RunFolder, boxes: Results) -> None:
    results, frame = boxes, emptied.frame()
    f1, alarms = series(results, "f1"), series(results, "false_positives")
    for place, eps in enumerate(EPS):
        mine = (frame["eps"] == eps) & (frame["row"] >= EMPTY)
        lowest = frame["score"][mine].reshape(len(STRENGTH), -1).min(axis=0)
        assert f1.worst[place].figure.value == pytest.approx(lowest.mean()) and f1.worst[place].figure.total == 35
    # The false box of the first image remains in all states.
    assert alarms.clean is not None and alarms.clean.value == pytest.approx(1 / 40)


def test_of_boxes_the_fewest_found_and_the_most_false_ones_of_each_image_count(tmp_path) -> None:
    run = make_dense(tmp_path / "run", "detection", pictures=0)
    results = measure(run)
    recall, alarms = series(results, "recall"), series(results, "false_positives")
    frame = run.frame()
    for place, eps in enumerate(EPS):
        counts = {
            name: [
                [int(((boxes[:, 1] > 0.5) & (boxes[:, 3] < 0.7 if hit else boxes[:, 3] > 0.7)).sum()) for hit in (1, 0)]
                for boxes in (
                    one.reshape(-1, 6) for one in frame["found"][(frame["attack"] == name) & (frame["eps"] <= eps)]
                )
            ]
            for name in STRENGTH
        }
        # Records lie image by image, the budgets of each in turn.
        by_image = np.concatenate([np.array(one).reshape(40, -1, 2).swapaxes(0, 1) for one in counts.values()])
        boxes = recall.worst[place].figure.total
        assert recall.worst[place].figure.count == by_image[..., 0].min(axis=0).sum() and boxes == 119
        assert alarms.worst[place].figure.value == pytest.approx(by_image[..., 1].max(axis=0).sum() / 40)
    for name in ("map50", "map", "froc"):
        made = series(results, name)
        values = [one.figure.value for one in made.worst]
        assert values == sorted(values, reverse=True)
        for points in made.attacks.values():
            assert all(one.figure.value <= point.figure.value for one, point in zip(made.worst, points, strict=True))


def test_masks_have_the_worst_value_of_each_image(tmp_path) -> None:
    run = make_dense(tmp_path / "run", "segmentation", pictures=0)
    results = measure(run)
    for place, eps in enumerate(EPS):
        every = np.concatenate([stacked(run, "measures", one) for one in EPS if one <= eps])
        dice, distance = series(results, "dice", "lesion"), series(results, "hd95", "lesion", "median")
        low, high = np.fmin.reduce(every[:, :, 6], axis=0), np.fmax.reduce(every[:, :, 7], axis=0)
        assert dice.worst[place].figure.value == pytest.approx(np.nanmean(low))
        assert distance.worst[place].figure.value == np.nanquantile(high, 0.5, method="lower")
        lost = series(results, "success", "lesion").worst[place].figure
        assert lost.count == (low <= FLOOR).sum() and lost.total == (~np.isnan(low)).sum()


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Lesions that are not annotated in a third of the images; "pgd" makes the model find one in five of these.

    In image 3 the model finds one without an attack, and none under "fgsm".
    """

    def edit(row: dict[str, Any]) -> dict[str, Any]:
        measures, clean = list(row["measures"]), list(row["clean_measures"])
        if row["attack"] == "pgd" and row["row"] in {0, 6, 9, 12, 15}:
            measures[6] = 0.0
        if row["row"] == 3:
            clean[6], measures[6] = 0.0, np.nan if row["attack"] == "fgsm" else 0.0
        return {"measures": tuple(measures), "clean_measures": tuple(clean)}

    return changed(make_dense(tmp_path_factory.mktemp("lesions") / "run", "segmentation", pictures=0), edit)


def test_means_before_and_after_are_over_the_same_images(invented: RunFolder) -> None:
    made = series(measure(invented), "dice", "lesion")
    frame = invented.frame()
    clean = np.array([row[6] for row in frame["clean_measures"][(frame["attack"] == "pgd") & (frame["eps"] == 1.0)]])
    known = np.isfinite(clean)
    assert made.clean is not None and (made.clean.total, made.clean_undefined) == (known.sum(), 40 - known.sum()) == (
        27,
        13,
    )
    for place, eps in enumerate(EPS):
        after = dict(zip(STRENGTH, stacked(invented, "measures", eps)[..., 6], strict=True))
        pgd, fgsm, worst = made.attacks["pgd"][place], made.attacks["fgsm"][place], made.worst[place]
        assert np.isfinite(after["pgd"]).sum() == 32 and pgd.figure.total == 27 and pgd.undefined == 13
        assert pgd.figure.value == pytest.approx(after["pgd"][known].mean()) and pgd.clean is None
        assert worst.figure.total == 27 and worst.clean is None
        # One image fewer is defined under "fgsm": the clean mean of the others is given with it.
        both = known & np.isfinite(after["fgsm"])
        assert (fgsm.figure.total, fgsm.undefined) == (26, 14) and fgsm.clean is not None
        assert fgsm.clean.value == pytest.approx(clean[both].mean()) and fgsm.clean.total == 26
    text = " ".join(Page(render(invented)).text.split())
    assert f"the same images before: {clean[both].mean():.2f}" in text


def test_findings_have_the_worst_probability_of_each_image(tmp_path) -> None:
    run = make_dense(tmp_path / "run", "multilabel", pictures=0)
    results = measure(run)
    frame, thresholds = run.frame(), run.describe()["task"]["operating"]["thresholds"]
    mine = (frame["attack"] == "pgd") & (frame["eps"] == 1.0)
    truth, clean = (np.stack([*frame[name][mine]]) for name in ("truth", "clean_found"))
    for place, eps in enumerate(EPS):
        every = np.concatenate([clean[None], *(stacked(run, "found", one) for one in EPS if one <= eps)])
        worst = np.where(truth == 1, every.min(axis=0), every.max(axis=0))
        for index, name in enumerate(results.task.classes):
            known, ill = truth[:, index] >= 0, truth[:, index] == 1
            read, before = worst[:, index] > thresholds[index], clean[:, index] > thresholds[index]
            at = {
                one: series(results, one, name).worst[place].figure
                for one in ("sensitivity", "specificity", "area_under_roc", "success")
            }
            assert at["sensitivity"].value == pytest.approx(read[ill].mean())
            assert at["specificity"].value == pytest.approx((~read)[truth[:, index] == 0].mean())
            assert at["area_under_roc"].value == pytest.approx(roc_auc_score(ill[known], worst[known, index]))
            assert at["success"].count == ((read != ill) & (before == ill))[known].sum()


def test_grades_have_the_worst_result_of_each_image(run: RunFolder, results: Results) -> None:
    frame = run.frame()
    _, first = np.unique(frame["row"], return_index=True)
    ill = np.isin(frame["label"][first], DISEASE)
    for found in results.worst_grading:
        fits = frame["linf"] <= found.eps * 1.0001
        low, high = frame["clean_disease_score"][first], frame["clean_disease_score"][first]
        np.minimum.at(low, frame["row"][fits], frame["disease_score"][fits])
        np.maximum.at(high, frame["row"][fits], frame["disease_score"][fits])
        area, sensitivity = found.grading.area_under_roc, found.grading.sensitivity
        missed = next(one for one in results.worst_directions if one.eps == found.eps).directions.missed_disease
        assert area is not None and area.value == pytest.approx(roc_auc_score(ill, np.where(ill, low, high)))
        assert sensitivity is not None and sensitivity.value == pytest.approx(1 - (missed.value or 0.0))
    kappa = [one.grading.quadratic_kappa.value for one in results.worst_grading]
    assert kappa == sorted(kappa, reverse=True) and kappa[-1] < results.clean.grading.quadratic_kappa.value
