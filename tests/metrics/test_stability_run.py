from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from palpate import catalog
from palpate.checks import victims
from palpate.errors import InputError
from palpate.metrics.stability_run import CURVES, along_the_run, band, mean_known
from palpate.stability import trace, trace_rows
from palpate.storage.frames import Frame
from palpate.storage.traces import FIELD_NAMES
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

NAN = float("nan")
TEXT = {"image", "group", "attack", "item", "goal"}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def course(row: int = 0, start: int = 0, steps: int = 4, **fields: Any) -> list[dict[str, Any]]:
    """The rows of one start on one image; fields are one value or one per step, and NaN where they are not given."""
    rows = []
    for step in range(steps + 1):
        one: dict[str, Any] = {name: "" if name in TEXT else NAN for name in FIELD_NAMES}
        one |= {"image": f"{row}.png", "row": row, "group": str(row), "attack": "bim", "eps": 1.0}
        one |= {"start": start, "step": step, "steps": steps}
        one |= {name: value[step] if isinstance(value, list) else value for name, value in fields.items()}
        rows.append(one)
    return rows


def frame(*courses: list[dict[str, Any]]) -> Frame:
    rows = [row for one in courses for row in one]
    return {name: np.array([row[name] for row in rows], object if name in TEXT else None) for name in FIELD_NAMES}


def test_the_figures_by_hand():
    rows = course(
        kl_final=[4.0, 3.0, 3.5, 1.0, 0.0],
        kl_smoothed=[NAN, 0.5, 2.0, 1.0, 0.5],
        cos_step=[NAN, NAN, 0.5, -0.5, 0.3],
        cos_final=[NAN, 0.2, 0.6, 0.9, 1.0],
        l2=[0.0, 1.0, 2.0, 4.0, 5.0],
        plane_x=[0.0, 1.0, 2.0, 3.0, 3.0],
        plane_y=[0.0, 0.0, 0.0, 0.0, 1.0],
    )
    summary = along_the_run(frame(rows), "bim").summary
    assert summary.cos_step.value == pytest.approx(0.1)
    assert summary.falling.value == 0.75
    assert summary.half_time.value == 0.75
    assert summary.smoothed_end.value == 0.25
    assert summary.cos_final_half.value == 0.6
    assert summary.plane_share.value == pytest.approx(0.4)
    for one in vars(summary).values():
        assert one.total == 1 and math.isnan(one.low) and one.note, "one image has no interval"


def test_starts_of_an_image_are_averaged_before_images():
    rows = [course(0, start, loss=value) for start, value in enumerate((1.0, 2.0, 6.0))]
    run = along_the_run(frame(*rows, course(1, 0, loss=5.0), course(2, 0, loss=13.0)), "bim")
    loss = run.bands["loss"]
    assert (run.images, run.starts, run.steps) == (3, 3, 4)
    assert loss.median.tolist() == [5.0] * 5 and loss.images.tolist() == [3] * 5
    assert loss.low.tolist() == [4.0] * 5 and loss.high.tolist() == [9.0] * 5
    assert set(run.bands) == set(CURVES) and np.isnan(run.bands["penalty"].median).all()


def test_figures_are_taken_of_each_start_and_then_averaged():
    fast, slow = course(0, 0, kl_final=[2.0, 0.1, 0.1, 0.1, 0.0]), course(0, 1, kl_final=[2.0, 1.9, 1.8, 1.7, 0.0])
    summary = along_the_run(frame(fast, slow), "bim").summary
    assert summary.half_time.value == pytest.approx((0.25 + 1.0) / 2), "0.75 of their mean curve would be wrong"
    assert summary.falling.value == pytest.approx((0.5 + 1.0) / 2)


def test_intervals_draw_patients():
    values = [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9]
    rows = [course(row, cos_step=value) for row, value in enumerate(values)]
    apart = along_the_run(frame(*rows), "bim").summary.cos_step
    rows = [course(row, cos_step=value, group=str(row // 4)) for row, value in enumerate(values)]
    together = along_the_run(frame(*rows), "bim").summary.cos_step
    assert apart.value == together.value == pytest.approx(0.5) and apart.total == 8
    assert (together.low, together.high) == pytest.approx((0.1, 0.9)), "two patients: both, or one of them twice"
    assert 0.1 < apart.low < apart.high < 0.9


def test_what_is_not_defined_is_said_not_guessed():
    still = course(kl_final=0.0, kl_smoothed=0.0, l2=0.0, plane_x=0.0, plane_y=0.0)
    summary = along_the_run(frame(still), "bim").summary
    assert summary.falling.value == 0.0
    for name in ("cos_step", "half_time", "smoothed_end", "cos_final_half", "plane_share"):
        one = getattr(summary, name)
        assert math.isnan(one.value) and one.total == 0 and "No trace" in one.note, name
    nothing = along_the_run(frame(course()), "bim")
    assert all(math.isnan(one.value) for one in vars(nothing.summary).values())
    assert all(np.isnan(one.median).all() and not one.images.any() for one in nothing.bands.values())


def test_one_image_has_a_median_and_no_quartiles():
    one = band(np.array([[1.0, NAN, 2.0], [3.0, NAN, NAN]]))
    assert one.median.tolist() == pytest.approx([2.0, NAN, 2.0], nan_ok=True) and one.images.tolist() == [2, 0, 1]
    assert one.low.tolist() == pytest.approx([1.5, NAN, NAN], nan_ok=True)
    assert mean_known(np.array([[1.0, NAN, 3.0], [NAN, NAN, NAN]])).tolist() == pytest.approx([2.0, NAN], nan_ok=True)


def test_infinite_divergences_do_not_count():
    loss = along_the_run(frame(course(0, loss=math.inf), course(1, loss=2.0)), "bim").bands["loss"]
    assert loss.median[0] == 2.0 and loss.images[0] == 1


def test_one_step_and_rows_in_any_order():
    rows = course(steps=1, kl_final=[3.0, 0.0], cos_final=[NAN, 1.0], l2=[0.0, 2.0], plane_x=[0.0, 2.0], plane_y=0.0)
    summary = along_the_run(frame(rows[::-1]), "bim").summary
    assert (summary.falling.value, summary.half_time.value, summary.plane_share.value) == (1.0, 1.0, 1.0)
    assert math.isnan(summary.cos_final_half.value), "half of one step is the start"


def test_traces_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="no trace of the attack 'pgd'"):
        along_the_run(frame(course()), "pgd")
    with pytest.raises(InputError, match="two traces"):
        along_the_run(frame(course(), course()), "bim")
    for other in (course(1, steps=3), course(1, eps=2.0)):
        with pytest.raises(InputError, match="differ in their steps or their budget"):
            along_the_run(frame(course(), other), "bim")
    with pytest.raises(InputError, match="outside 0 to 4"):
        along_the_run(frame(course(step=7)[:1]), "bim")
    with pytest.raises(InputError, match="outside 0 to 4"):
        along_the_run(frame(course(step=-1)[:1]), "bim")


def test_other_attacks_are_passed_over():
    rows = [course(0, loss=1.0), course(0, attack="pgd", loss=9.0, eps=3.0)]
    assert along_the_run(frame(*rows), "bim").bands["loss"].median.tolist() == [1.0] * 5


def test_the_rows_of_a_real_trace():
    victim, images = Victim(victims.small_net().double(), (0, 255)), victims.images(5, seed=4).double()
    with victim:
        labels = victim.judge(images).argmax(1)
    attack = catalog.make("pgd", Linf(4.0), steps=5)
    seen = trace(
        attack, victim, Classification(4), images, labels, generator=Streams.of(None, 5), starts=2, smoothed=True
    )
    names = [str(number) for number in range(5)]
    rows = trace_rows(
        seen, images=names, rows=range(5), groups=names, attack="pgd", item="", goal="untargeted", eps=4.0
    )
    run = along_the_run({name: np.array([getattr(row, name) for row in rows]) for name in FIELD_NAMES}, "pgd")
    assert (run.steps, run.images, run.starts) == (5, 5, 2)
    assert run.summary.plane_share.value == pytest.approx(float(seen.plane_share.mean()))
    assert run.summary.cos_step.value == pytest.approx(float(seen.cos_step.nanmean()))
    middle = np.median(seen.kl_clean.mean(0).numpy(), axis=0)
    assert run.bands["kl_clean"].median == pytest.approx(middle)
    assert not math.isnan(run.summary.smoothed_end.value + run.summary.half_time.value + run.summary.falling.value)
