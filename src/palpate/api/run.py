"""`palpate.load_run`: a run folder in Python, with its records, figures and files. It needs no torch."""

from __future__ import annotations

import html
import math
import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from palpate.api.table import WORST, Row, Table
from palpate.errors import InputError, StorageError, nearest
from palpate.report.compute.results import measure
from palpate.report.model.description import GateDescription
from palpate.report.model.schema import Results
from palpate.report.model.typed import Figure
from palpate.storage.runs import RunFolder
from palpate.units import Scale

_UNTARGETED = "untargeted"


class Run:
    """A run folder, finished or not. Figures are computed from the records when they are first asked for.

        run = palpate.load_run("runs/plan")
        run                                    # what was audited, and the table of robust accuracy
        run.robust_accuracy(eps="1/255")       # the worst case over the attacks
        run.records.to_pandas()                # one row per image, attack and budget
        run.results.clean.accuracy             # every figure of results.json
        run.table().plot()
        run.images()                           # adversarial images as files, if the plan exports them

    Attributes:
        path: the folder.
        folder: its files, for what this class does not give.

    Raises:
        StorageError: there is no run here, or it cannot be read.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        if self.path.is_file():
            raise StorageError(f"{self.path} is a file. Give the run folder that `palpate audit` made.")
        self.folder = RunFolder(self.path)
        self.folder.describe()

    @cached_property
    def results(self) -> Results:
        """The figures of `results.json` as attributes; `.model_dump()` gives them as a dict.

        Raises:
            StorageError: a file is missing or damaged.
        """
        return measure(self.folder)

    @cached_property
    def records(self) -> pa.Table:
        """Every finished record as an Arrow table: `palpate.storage.records` has its columns.

        `.to_pandas()` makes a DataFrame where pandas is installed.

        Raises:
            StorageError: a file is damaged.
        """
        return self.folder.table()

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan as it was written.

        Raises:
            StorageError: the file is missing or is no TOML.
        """
        try:
            return tomllib.loads(self.folder.plan.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise StorageError(f"{self.folder.plan} cannot be read: {error}. Restore it.") from error

    @property
    def status(self) -> str:
        """`finished` or `unfinished`."""
        return self.results.status

    @property
    def gates(self) -> list[GateDescription]:
        """The gates of the plan with what was measured; empty if the run is not finished."""
        return self.results.gates

    @property
    def passed(self) -> bool:
        """Whether the run is finished and every gate passed."""
        return self.status == "finished" and all(gate.passed for gate in self.gates)

    @property
    def report(self) -> Path:
        """The report as a page."""
        return self.folder.report

    @property
    def clean_accuracy(self) -> float:
        """Share of the images that are right without an attack."""
        return _number(self.results.clean.accuracy.value)

    @property
    def attacks(self) -> list[str]:
        """Names of the attacks."""
        return [attack.name for attack in self.results.attacks]

    def robust_accuracy(self, eps: float | str | None = None, attack: str | None = None) -> float:
        """Robust accuracy at a budget: the worst case over the untargeted attacks, or that of one attack.

        Args:
            eps: a budget of the plan, as a number or as text ("1/255", "5 HU"); it may be left out if there is one.
            attack: name of an attack.

        Raises:
            InputError: the run has no such budget or attack.
        """
        return self.table().robust_accuracy(eps, attack)

    def curve(self, attack: str | None = None) -> list[Row]:
        """The rows of one attack, smallest budget first; the worst case by default.

        Raises:
            InputError: there is no such attack.
        """
        table = self.table()
        if attack in (None, WORST):
            return list(table.worst)
        if attack not in table.attacks:
            raise InputError(f"attack: there is no '{attack}' in this run. {nearest(str(attack), table.attacks)}")
        return [row for row in table.rows if row.attack == attack]

    def table(self) -> Table:
        """Robust accuracy of the untargeted attacks at every budget, as `palpate.evaluate` gives it."""
        results = self.results
        rows = [
            _row(attack.name, point.eps, self.clean_accuracy, point.robust_accuracy, point.success_rate)
            for attack in results.attacks
            if attack.goal == _UNTARGETED
            for point in attack.points
            if point.robust_accuracy is not None
        ]
        worst = [
            _row(WORST, point.eps, self.clean_accuracy, point.figure, None)
            for case in results.worst_case
            if case.goal == _UNTARGETED
            for point in case.points
        ]
        return Table(tuple(rows), tuple(worst), self.scale, norm=results.threat.norm)

    @property
    def figures(self) -> dict[str, Figure]:
        """The main figures with their intervals: clean accuracy, and the worst case at each budget."""
        results = self.results
        found = {"clean accuracy": results.clean.accuracy}
        for case in results.worst_case:
            what = "robust accuracy" if case.goal == _UNTARGETED else f"success rate, {case.goal}"
            found |= {f"{what} at eps {point.eps:g}": point.figure for point in case.points}
        return found

    @property
    def scale(self) -> Scale:
        """What the values of the images mean."""
        return self.results.data.scale

    def images(self, attack: str | None = None, eps: float | None = None) -> list[Path]:
        """Adversarial images that the run holds as files in the format of their originals (`[export]` in the plan).

        Args:
            attack: only those of one attack.
            eps: only those of one budget, in stored values.
        """
        exports = self.folder.describe().get("exports", [])
        return [
            self.path / one["file"] for one in exports if attack in (None, one["attack"]) and eps in (None, one["eps"])
        ]

    def __repr__(self) -> str:
        return "\n".join([*self._head(), str(self.table())])

    def _repr_html_(self) -> str:
        """The run in a notebook."""
        return "".join([*(f"<p>{html.escape(line)}</p>" for line in self._head()), self.table()._repr_html_()])

    def _head(self) -> tuple[str, str]:
        """What was audited, and the verdict."""
        results = self.results
        gates = f", {sum(gate.passed for gate in self.gates)} of {len(self.gates)} gates passed" if self.gates else ""
        head = f"{results.title or self.path.name}: {self.status}{gates}, in {self.path}"
        return head, results.verdict.sentence


def load_run(path: Path | str) -> Run:
    """A run folder, finished or not; see `Run`.

    Raises:
        StorageError: there is no run here, or it cannot be read.
    """
    return Run(path)


def failed_gates(gates: Sequence[GateDescription]) -> list[str]:
    """One line for each gate that did not pass.

    >>> failed_gates([])
    []
    """
    return [
        f"{gate.text}: {'it is not defined' if gate.value is None else f'measured {gate.value:.4g}'}"
        for gate in gates
        if not gate.passed
    ]


def _row(attack: str, eps: float, clean: float, robust: Figure, success: Figure | None) -> Row:
    low, high = _number(robust.low), _number(robust.high)
    rate, beaten = (math.nan, 0) if success is None else (_number(success.value), success.count or 0)
    return Row(attack, eps, clean, _number(robust.value), low, high, rate, math.nan, robust.total or 0, beaten)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
