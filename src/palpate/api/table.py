"""The result of an evaluation as a table: one row per attack and budget, and the worst case. It needs no torch."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from palpate.errors import InputError, nearest
from palpate.units import Scale, radius

WORST = "worst case"
"""Name of the rows of all attacks together."""


@dataclass(frozen=True)
class Row:
    """One attack at one budget. Shares are from 0 to 1 and NaN where they are undefined; intervals are of 95%.

    Attributes:
        attack: its name; `worst case` for all attacks together.
        eps: the budget in the units of the images.
        clean_accuracy: share of the images that are right without an attack.
        robust_accuracy: share of the images that are right before the attack and not beaten by it, over those with
            something to lose; NaN where the goal is not to be wrong.
        low: lower end of the interval of robust accuracy.
        high: upper end of it.
        success_rate: share of the attacked images that were beaten: those that were right before.
        score: mean of the task's score under the attack (Dice, F1), the lowest of each image in the worst case; NaN for
            classes, whose score is right or wrong.
        images: images that count for robust accuracy.
        beaten: images that the attack beat.
    """

    attack: str
    eps: float
    clean_accuracy: float
    robust_accuracy: float
    low: float
    high: float
    success_rate: float
    score: float
    images: int
    beaten: int


COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Table:
    """Rows of attacks and budgets, smallest budget first; `worst` has the worst case of each budget.

        table = palpate.evaluate(model, loader, attacks=["pgd", "apgd-margin"], eps=["2/255", "8/255"])
        print(table)
        table.robust_accuracy("8/255")        # the worst case over the attacks
        table.to_pandas()
        table.plot()

    Attributes:
        rows: one per attack and budget.
        worst: one per budget, over all attacks together.
        scale: what the values of the images mean, for budgets as text.
        notes: what has to be known to read the figures, in sentences.
        norm: of the budgets.
    """

    rows: tuple[Row, ...]
    worst: tuple[Row, ...]
    scale: Scale = Scale((0.0, 1.0), step=None, known=True)
    notes: tuple[str, ...] = ()
    norm: str = "linf"

    @property
    def eps(self) -> list[float]:
        """The budgets, smallest first."""
        return sorted({row.eps for row in (*self.rows, *self.worst)})

    @property
    def attacks(self) -> list[str]:
        """Names of the attacks, in their order."""
        return list(dict.fromkeys(row.attack for row in self.rows))

    @property
    def clean_accuracy(self) -> float:
        """Share of the images that are right without an attack."""
        return next((row.clean_accuracy for row in (*self.rows, *self.worst)), math.nan)

    def robust_accuracy(self, eps: float | str | None = None, attack: str | None = None) -> float:
        """Robust accuracy at a budget: the worst case, or that of one attack.

        Args:
            eps: a budget of the table, as a number or a text such as "8/255"; it may be left out if there is one.
            attack: name of an attack; all of them together by default.

        Raises:
            InputError: the table has no such budget or attack.
        """
        return self.row(eps, attack).robust_accuracy

    def row(self, eps: float | str | None = None, attack: str | None = None) -> Row:
        """One row; see `robust_accuracy`."""
        names = self.attacks
        if attack not in (None, WORST, *names):
            raise InputError(f"attack: there is no '{attack}' here. {nearest(str(attack), [*names, WORST])}")
        rows = self.worst if attack in (None, WORST) else [row for row in self.rows if row.attack == attack]
        return rows[place_of(eps, [row.eps for row in rows], self.scale, self.norm)]

    def __getitem__(self, place: int) -> Row:
        return self.rows[place]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns: name -> one value per row, the worst case last."""
        return {name: [getattr(row, name) for row in self._all()] for name in COLUMNS}

    def to_rows(self) -> list[dict[str, Any]]:
        """One dict per row, the worst case last."""
        return [asdict(row) for row in self._all()]

    def to_pandas(self) -> Any:
        """A pandas DataFrame with the columns of `Row`.

        Raises:
            InputError: pandas is not installed.
        """
        return pandas().DataFrame(self.to_dict())

    def plot(self, ax: Any = None) -> Any:
        """Draw robust accuracy over the budget: a line per attack, the worst case with its interval.

        Args:
            ax: matplotlib Axes to draw on; new ones by default.

        Returns:
            The matplotlib Axes.
        """
        from palpate.api.drawing import draw

        lines = {
            name: [(row.eps, row.robust_accuracy) for row in self.rows if row.attack == name] for name in self.attacks
        }
        worst = [(row.eps, row.robust_accuracy, row.low, row.high) for row in self.worst]
        return draw(lines, worst, self.clean_accuracy, [self.amount(row.eps) for row in self.worst], ax)

    def amount(self, eps: float) -> str:
        """A budget as people write it: `8/255`, `5 HU`, or the number."""
        return amount(eps, self.scale, self.norm)

    def __str__(self) -> str:
        lines = ["   ".join(cells) for cells in _aligned([self._headings(), *map(self._cells, self._all())])]
        return "\n".join([self._headline(), *(line.rstrip() for line in lines), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table in a notebook."""

        def line(kind: str, cells: Sequence[str]) -> str:
            return f"<tr>{''.join(f'<{kind}>{html.escape(cell)}</{kind}>' for cell in cells)}</tr>"

        body = "".join(line("td", self._cells(row)) for row in self._all())
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in (self._headline(), *self.notes))
        return f"{notes}<table><thead>{line('th', self._headings())}</thead><tbody>{body}</tbody></table>"

    def _all(self) -> tuple[Row, ...]:
        """The rows, and the worst case where several attacks make one."""
        return (*self.rows, *(self.worst if len(self.attacks) > 1 else ()))

    def _headline(self) -> str:
        count = max((row.images for row in self._all()), default=0)
        if not count:
            return "No image counts: none has anything that an attack could take away"
        return f"{count} images, {percent(self.clean_accuracy)} right without an attack"

    def _cells(self, row: Row) -> tuple[str, ...]:
        interval = "" if math.isnan(row.low) else f"{percent(row.low)} to {percent(row.high)}"
        shares = (percent(row.robust_accuracy), interval, percent(row.success_rate))
        return (row.attack, self.amount(row.eps), *shares, *([f"{row.score:.3f}"] if self._scored else []))

    def _headings(self) -> tuple[str, ...]:
        return (*_HEADINGS, *(["mean score"] if self._scored else []))

    @property
    def _scored(self) -> bool:
        """Whether there is a score that says more than right or wrong."""
        return any(not math.isnan(row.score) for row in self.rows)


_HEADINGS = ("attack", "eps", "robust accuracy", "95% interval", "beaten of those right")


def percent(share: float) -> str:
    """`41.7%`; a dash where it is undefined."""
    return "–" if math.isnan(share) else f"{share:.1%}"


def amount(eps: float, scale: Scale, norm: str = "linf") -> str:
    """A budget as people write it: `5 HU`, `8/255` where it is such a share of 0 to 1, or the number.

    >>> unit = Scale((0.0, 1.0), step=None, known=True)
    >>> [amount(eps, unit) for eps in (8 / 255, 0.5 / 255, 0.03, 0.5)], amount(8 / 255, unit, "l2")
    (['8/255', '0.5/255', '0.03', '0.5'], '0.0313725')
    """
    number = f"{eps:.6g}"
    if scale.unit:
        return f"{number} {scale.unit}"
    quarters = round(eps * 255 * 4)
    share = quarters > 0 and math.isclose(eps * 255 * 4, quarters, rel_tol=1e-9)
    # 0.2 is 51/255, and nobody calls it so.
    plain = norm != "linf" or scale.bounds != (0.0, 1.0) or not share or float(number) == eps
    return number if plain else f"{quarters / 4:g}/255"


def place_of(eps: float | str | None, budgets: Sequence[float], scale: Scale, norm: str = "linf") -> int:
    """Which of the budgets is meant.

    Raises:
        InputError: none is, or `eps` is left out and there are several.
    """
    shown = [amount(one, scale, norm) for one in budgets]
    listed = ", ".join(shown)
    if not budgets:
        raise InputError("eps: no attack has finished at any budget.")
    if eps is None:
        if len(budgets) > 1:
            raise InputError(f"eps: there are several budgets ({listed}). Give one of them.")
        return 0
    if isinstance(eps, str) and eps.strip() in shown:
        return shown.index(eps.strip())
    try:
        wanted = _number(eps, scale)
    except (TypeError, ValueError) as error:
        raise InputError(f"eps: {error}.") from error
    near = [place for place, one in enumerate(budgets) if math.isclose(one, wanted, rel_tol=1e-6)]
    if not near:
        raise InputError(f"eps: {eps} was not tried. The budgets are {listed}, in the units of the images.")
    return near[0]


def _number(written: float | str, scale: Scale) -> float:
    """A radius in values; a text may be a bare number, as tables print it."""
    try:
        return float(written)
    except ValueError:
        return radius(written, scale)


def pandas() -> Any:
    """The module pandas.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise InputError("to_pandas: pandas is not installed. Install it with `pip install pandas`.") from error
    return pandas


def _aligned(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """The cells of a table, padded: names on the left, figures on the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
