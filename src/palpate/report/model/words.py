"""Numbers as the report writes them."""

from __future__ import annotations

from palpate.report.model.typed import Figure

NOTHING = "–"
"""Shown where a figure is undefined."""
_LONG = 1e7
"""From here on, whole numbers are shortened too."""


def amount(value: float | None) -> str:
    """A number in stored values with at most four digits; whole numbers in full.

    >>> amount(32767.0), amount(0.123456)
    ('32767', '0.1235')
    """
    if value is None:
        return NOTHING
    whole = abs(value) < _LONG and float(value).is_integer()
    return (f"{value:.0f}" if whole else f"{value:.4g}").replace("-", "−")


def in_unit(value: float | None, unit: str) -> str:
    """A number with its unit, if it has one.

    >>> in_unit(5.0, "HU")
    '5 HU'
    """
    return amount(value) + (f" {unit}" if unit and value is not None else "")


_PARTS = {
    1: "all", 2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 7: "a seventh", 8: "an eighth",
    9: "a ninth", 10: "a tenth", 20: "a twentieth", 30: "a thirtieth", 40: "a fortieth", 50: "a fiftieth",
    60: "a sixtieth", 70: "a seventieth", 80: "an eightieth", 90: "a ninetieth", 100: "a hundredth",
    1000: "a thousandth",
}  # fmt: skip
_EXACT = 1e-4
"""Relative difference from a whole part that counts as rounding."""


def part(fraction: float) -> str:
    """A fraction in words: by name if it has one, else as 1/n, else as a percentage.

    >>> part(5 / 400), part(1 / 255), part(0.28)
    ('an eightieth', '1/255', '28%')
    """
    if fraction <= 0:
        return "nothing"
    if fraction > 1:
        return f"{100 * fraction:.0f}%"
    parts = 1 / fraction
    whole_parts = round(parts)
    if whole_parts >= 1 and abs(parts - whole_parts) <= _EXACT * parts:
        return _PARTS.get(whole_parts, f"1/{whole_parts}")
    return f"about 1/{whole_parts}" if whole_parts >= 20 else share_of(fraction)


def percent(value: float | None) -> str:
    """A fraction as a percentage with one decimal; never rounded up to 100 or down to 0."""
    if value is None:
        return NOTHING
    text = f"{100 * value:.1f}"
    if text == "100.0":
        return "100%" if value == 1 else "99.9%"
    if text == "0.0":
        return "0%" if value == 0 else "0.1%"
    return f"{text}%"


def points(value: float) -> str:
    """A difference of two proportions in percentage points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def share_of(fraction: float) -> str:
    """A small fraction of the range as a percentage with two significant digits."""
    return f"{100 * fraction:.2g}%"


def ratio(value: float | None) -> str:
    """A coefficient such as kappa, with two decimals."""
    return NOTHING if value is None else f"{value:.2f}".replace("-", "−")


def closeness(value: float | None) -> str:
    """A structural similarity, often just below 1: with four decimals, and never rounded up to 1.

    >>> closeness(0.99997)
    '0.9999'
    """
    if value is None:
        return NOTHING
    return "1" if value == 1 else f"{min(value, 0.9999):.4f}".replace("-", "−")


def interval(figure: Figure) -> str:
    """The interval of a proportion, in per cent."""
    if figure.low is None or figure.high is None:
        return NOTHING
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}%"


def ratio_interval(figure: Figure) -> str:
    """The interval of a coefficient."""
    if figure.low is None or figure.high is None:
        return NOTHING
    return f"{ratio(figure.low)} to {ratio(figure.high)}"


def fraction(figure: Figure) -> str:
    """Numerator and denominator of a proportion."""
    return NOTHING if figure.count is None else f"{figure.count}/{figure.total}"


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it.

    >>> duration(75.2)
    '1 min 15 s'
    """
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def whole(count: int) -> str:
    """A large count with thin gaps between the thousands."""
    return f"{count:,}".replace(",", "\N{THIN SPACE}")


def sentence(text: str) -> str:
    """A phrase as a sentence: a capital first and a full stop last."""
    return text if not text else text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def p_value(p: float) -> str:
    """A p-value with the digits that matter."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
