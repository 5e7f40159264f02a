"""Series of a few handmade records: the worst of each image, and the same images before and after."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from palpate.metrics.intervals import Resampling
from palpate.report.compute.reading import RunReading
from palpate.report.compute.series import finding_series, measure_series, score_series
from palpate.report.compute.states import States
from palpate.storage.records import Record
from tests.metrics.handmade import panel, record

NAN = float("nan")
PLAIN = {"label": -1, "clean_prediction": -1, "prediction": -1, "clean_right": True}


def reading(records: list[Record], **task: Any) -> RunReading:
    measures = [
        SimpleNamespace(name=name, part="lesion", unit="", better=better) for name, better in task.pop("measured")
    ]
    values = {"classification": False, "classes": ["lesion"], "score": "dice", "measures": measures, **task}
    made = panel(records)
    description: Any = SimpleNamespace(task=SimpleNamespace(**values))
    return RunReading(description, made, Resampling(made.images.group))


def masks(clean: tuple[float, ...], attacks: dict[str, tuple[float, ...]], better: str) -> Any:
    """One measure of images as stored and under attacks of one budget: its series."""
    records = [
        record(row, attack=attack, clean_measures=(before,), measures=(value,), **PLAIN)
        for attack, after in attacks.items()
        for row, (before, value) in enumerate(zip(clean, after, strict=True))
    ]
    read = reading(records, kind="segmentation", measured=[("size", better)])
    (made,) = measure_series(read, States(read))
    return made


def test_a_mean_after_an_attack_is_over_the_images_of_the_clean_mean() -> None:
    # Nothing is annotated in the last image, and "b" makes the model find something there.
    made = masks((0.9, 0.5, 0.7, NAN), {"a": (0.3, NAN, 0.6, NAN), "b": (0.5, 0.1, 0.9, 0.0)}, "higher")
    assert made.clean.value == pytest.approx(0.7) and (made.clean.total, made.clean_undefined) == (3, 1)
    (a,), (b,), (worst,) = made.attacks["a"], made.attacks["b"], made.worst
    assert a.figure.value == pytest.approx(0.45) and (a.figure.total, a.undefined) == (2, 2)
    assert a.clean.value == pytest.approx(0.8) and a.clean.total == 2
    assert b.figure.value == pytest.approx(0.5) and (b.figure.total, b.undefined, b.clean) == (3, 1, None)
    # 0.3 under "a", 0.1 under "b", 0.6 under "a".
    assert worst.figure.value == pytest.approx(1 / 3) and (worst.figure.total, worst.undefined, worst.clean) == (
        3,
        1,
        None,
    )


@pytest.mark.parametrize(("low", "high", "expected"), [(4.0, 13.0, 7.0), (7.0, 20.0, 15.0)])
def test_without_a_better_direction_the_further_side_counts(low: float, high: float, expected: float) -> None:
    made = masks((10.0, 10.0), {"a": (low, 10.0), "b": (10.0, high)}, "")
    assert made.worst[0].figure.value == expected


def test_the_mean_score_leaves_out_images_without_anything_to_lose() -> None:
    box, scores = (0.0, 0.1, 0.1, 0.2, 0.2), {"a": (0.2, 0.9, 1.0), "b": (0.8, 0.4, 1.0)}
    records = [
        record(row, attack=attack, score=score, truth=box if row < 2 else (), eligible=row < 2, **PLAIN)
        for attack, after in scores.items()
        for row, score in enumerate(after)
    ]
    read = reading(records, kind="detection", measured=[])
    (made,) = score_series(read, States(read))
    found = [made.clean, made.attacks["a"][0].figure, made.attacks["b"][0].figure, made.worst[0].figure]
    assert [one.value for one in found] == pytest.approx([1.0, 0.55, 0.6, 0.3]) and {one.total for one in found} == {2}


def test_a_finding_has_its_worst_probability() -> None:
    truth, clean = (1.0, 1.0, 0.0, 0.0, -1.0), (0.9, 0.8, 0.2, 0.1, 0.5)
    attacks = {"hide": (0.3, 0.7, 0.1, 0.0, 0.4), "invent": (0.95, 0.9, 0.4, 0.75, 0.6)}
    records = [
        record(row, attack=attack, truth=(truth[row],), clean_found=(clean[row],), found=(value,), **PLAIN)
        for attack, after in attacks.items()
        for row, value in enumerate(after)
    ]
    read = reading(records, kind="multilabel", measured=[], operating=SimpleNamespace(thresholds=[0.5]))
    made = {one.name: one for one in finding_series(read, States(read))}
    # Present: 0.3 and 0.7; absent: 0.4 and 0.75. Of the four pairs only 0.7 over 0.4 is in order.
    assert {name: one.worst[0].figure.value for name, one in made.items()} == {
        "sensitivity": 0.5, "specificity": 0.5, "area_under_roc": 0.25, "success": 0.5,
    }  # fmt: skip
    assert [one.figure.value for points in made["area_under_roc"].attacks.values() for one in points] == [1.0, 1.0]
