"""Budgets as people write them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palpate.units import Scale, amounts, radius


@pytest.mark.parametrize(
    ("written", "bounds", "expected"),
    [
        (4, (0.0, 255.0), 4.0),
        (0.5, (0.0, 1.0), 0.5),
        ("1/255", (0.0, 255.0), 1.0),
        ("0.25/255", (0.0, 255.0), 0.25),
        (" 8 / 255 ", (0.0, 1.0), 8 / 255),
        ("0.5%", (-1024.0, 3071.0), 20.475),
        ("1e-3/1", (0.0, 2.0), 0.002),
        (".5/255", (0.0, 255.0), 0.5),
        ("5 HU", (-1024.0, 3071.0), 5.0),
        ("0.5% of range", (0.0, 200.0), 1.0),
    ],
)
def test_budgets_become_stored_values(written: float | str, bounds: tuple[float, float], expected: float) -> None:
    assert radius(written, Scale(bounds)) == expected


@pytest.mark.parametrize("written", ["", "one", "1", "1/", "/255", "1/255/2", "5 %%", "nan/1", "1/inf"])
def test_other_texts_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a budget; write a number"):
        radius(written, Scale((0.0, 255.0)))


def test_division_by_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="divides by zero"):
        radius("1/0", Scale((0.0, 255.0)))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_fraction_is_rounded_once(over: int, under: int, low: float, width: float) -> None:
    bounds = (low, low + width)
    exact = Fraction(over, under) * (Fraction(bounds[1]) - Fraction(bounds[0]))
    assert radius(f"{over}/{under}", Scale(bounds)) == float(exact)


CT = Scale((-1024.0, 3071.0), unit="HU", step=0.5, window=(-160.0, 240.0), known=True)


def test_steps_and_windows_are_the_images():
    assert radius("1 stored step", CT) == 0.5
    assert radius("3 stored steps", CT) == 1.5
    assert radius("0.5% of window", CT) == 2.0
    assert radius("5 hu", CT) == 5.0


@pytest.mark.parametrize(
    ("written", "scale", "message"),
    [
        ("5 HU", Scale((0.0, 255.0), known=True), 'the images have no unit; .* data.unit = "HU"'),
        ("5 mGy", CT, "the images are in HU"),
        ("1 stored step", Scale((0.0, 1.0), step=None, known=True), "floating point, or steps of different size"),
        ("1% of window", Scale((0.0, 1.0)), "has no window"),
    ],
)
def test_units_that_the_images_do_not_know_are_refused(written, scale, message):
    with pytest.raises(ValueError, match=message):
        radius(written, scale)


def test_one_budget_is_said_in_every_unit():
    assert amounts(2.0, CT) == (
        "2 HU",
        "4 stored steps",
        "0.1245/255 of the range",
        "0.049% of the range",
        "0.500% of the window",
    )
    assert amounts(10000.0, Scale((0.0, 65535.0)))[:2] == ("10000", "10000 stored steps")
    assert amounts(1.0, Scale((0.0, 255.0))) == (
        "1",
        "1 stored step",
        "1/255 of the range",
        "0.392% of the range",
    )
