from __future__ import annotations

import pytest

from palpate.report.model import words
from palpate.report.model.typed import Figure


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0%"), (1.0, "100%"), (0.0001, "0.1%"), (0.99999, "99.9%"), (0.5, "50.0%"), (None, "–")],
)
def test_percent_never_rounds_to_all_or_nothing(value, text):
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (75.2, "1 min 15 s"), (7322, "2 h 2 min"), (None, "–")]
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_numbers():
    assert words.amount(1 / 255) == "0.003922" and words.amount(2.0) == "2" and words.amount(-1024.0) == "−1024"
    assert [words.amount(value) for value in (32767.0, 65535.5, 3e9)] == ["32767", "6.554e+04", "3e+09"]
    assert words.share_of(2 / 255) == "0.78%" and words.share_of(0.5) == "50%"
    assert words.ratio(-0.125) == "−0.12" and words.ratio(None) == "–"
    assert words.whole(1234567) == "1\u2009234\u2009567"
    assert [words.p_value(p) for p in (0.0001, 0.0123, 0.5)] == ["< 0.001", "0.012", "0.50"]


def test_sentence():
    assert [words.sentence(text) for text in ("", "every value", "Done.")] == ["", "Every value.", "Done."]


def test_figures_without_a_value():
    nothing = Figure(value=None, low=None, high=None, method="none", note="no image")
    assert words.interval(nothing) == words.ratio_interval(nothing) == words.fraction(nothing) == "–"
    share = Figure(value=0.5, low=0.25, high=0.75, method="Wilson", count=3, total=6)
    assert (words.interval(share), words.ratio_interval(share), words.fraction(share)) == (
        "25.0 to 75.0%", "0.25 to 0.75", "3/6",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(5 / 400, "an eightieth"), (1 / 255, "1/255"), (0.28, "28%"), (0.013, "about 1/77"), (0.5, "half"), (1.0, "all"),
     (1 / 80.001, "an eightieth"), (2.0, "200%"), (0.0, "nothing"), (0.0625, "1/16"), (0.7, "70%")],
)  # fmt: skip
def test_a_part_is_said_as_one_speaks_of_it(fraction, text):
    assert words.part(fraction) == text


def test_units_points_and_similarity():
    assert [words.in_unit(5.0, "HU"), words.in_unit(0.25, ""), words.in_unit(None, "HU")] == ["5 HU", "0.25", "–"]
    assert words.points(-0.123) == "−12.3" and words.points(0.0) == "+0.0"
    assert [words.closeness(one) for one in (1.0, 0.99999, 0.9, None)] == ["1", "0.9999", "0.9000", "–"]
