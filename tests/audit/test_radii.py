"""Budgets as people write them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palpate.audit.radii import radius


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
    ],
)
def test_budgets_become_stored_values(written: float | str, bounds: tuple[float, float], expected: float) -> None:
    assert radius(written, bounds) == expected


@pytest.mark.parametrize("written", ["", "one", "1", "1/", "/255", "1/255/2", "5 %%", "nan/1", "1/inf"])
def test_other_texts_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no budget; write a number"):
        radius(written, (0.0, 255.0))


def test_division_by_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="divides by zero"):
        radius("1/0", (0.0, 255.0))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_fraction_is_rounded_once(over: int, under: int, low: float, width: float) -> None:
    bounds = (low, low + width)
    exact = Fraction(over, under) * (Fraction(bounds[1]) - Fraction(bounds[0]))
    assert radius(f"{over}/{under}", bounds) == float(exact)
