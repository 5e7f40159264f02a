"""`palpate.compare`: compare runs, look at the differences, and write them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.console import Console

from palpate.errors import InputError
from palpate.report.compute.compare.comparison import compare_runs
from palpate.report.compute.compare.gates import By, Gate, parse_gate
from palpate.report.model.schema_compare import Change, Comparison, GateResult
from palpate.report.page.compare_terminal import show_comparison
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically


@dataclass(frozen=True, eq=False)
class Compared:
    """Runs that were compared.

    Attributes:
        comparison: everything, as in `compare.json`.
        folders: the run folders, in their order.
    """

    comparison: Comparison
    folders: tuple[Path, ...]

    @property
    def changes(self) -> list[Change]:
        """The figures of all pairs of runs, those of B - A first."""
        return [change for pair in self.comparison.pairs for change in pair.changes]

    @property
    def gates(self) -> list[GateResult]:
        """The gates with their results."""
        return self.comparison.gates

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)

    def table(self, width: int = 140) -> str:
        """The sentences and tables as the terminal shows them."""
        sink = io.StringIO()
        show_comparison(self.comparison, Console(file=sink, width=width, highlight=False))
        return sink.getvalue()

    def __str__(self) -> str:
        return self.table()

    def write(self, folder: Path | str | None = None) -> Path:
        """Write `compare.html` and `compare.json`, each whole or not at all.

        Args:
            folder: where to; by default next to the last run folder, in `compare-A-B` with the names of the folders.

        Returns:
            The path of the page.

        Raises:
            InputError: `folder` is a file.
            StorageError: the disk is full or does not accept the files.
        """
        from palpate.report.page.compare_html import render_comparison

        target = self.place if folder is None else Path(folder)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file. Give a folder, which gets compare.html and compare.json.")
        data = json.dumps(self.comparison.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(target / "compare.json", (data + "\n").encode())
        write_atomically(target / "compare.html", render_comparison(self.comparison).encode())
        return target / "compare.html"

    @property
    def place(self) -> Path:
        """The default folder of the files."""
        names = "-".join(folder.resolve().name for folder in self.folders)
        return self.folders[-1].resolve().parent / f"compare-{names}"


def compare(
    *runs: Path | str | RunFolder,
    gates: Sequence[str | Gate] = (),
    gates_by: By = "estimate",
    names: bool = False,
    hardened: bool = False,
    match_names: bool = False,
    eps: float | str | None = None,
) -> Compared:
    """Compare two or more finished run folders over the same images.

        found = palpate.compare("runs/before", "runs/after", gates=["clean accuracy: at most 2 points worse"])
        print(found)
        found.passed, found.changes[0].difference.value
        found.write()

    Every difference is a later run minus the first one, image by image, with a 95% interval by patient and a p-value
    that is adjusted by Holm's method over the figures of its section.

    Args:
        runs: run folders; the first is what the others are compared with.
        gates: limits, such as "robust accuracy: at most 1 point worse".
        gates_by: what must be within the limits: the `estimate` or the whole `interval`.
        names: give the file names of the images that changed, which may identify patients.
        hardened: judge whether the later models may be called *hardened*; always done where a run folder holds
            `harden.json`. `palpate.report.compute.hardening.judge.judge` gives the verdict alone.
        match_names: where the images differ, compare those of the same name; pixels are then not checked.
        eps: the budget of the sentences in values; by default that of the first run's verdict.

    Raises:
        InputError: the runs cannot be compared, and in which way; or a gate cannot be read.
        StorageError: a run folder is missing, damaged, or of another version.
    """
    if gates_by not in get_args(By):
        raise InputError(f"gates_by: '{gates_by}' is not one of its values. Known are {', '.join(get_args(By))}.")
    if isinstance(gates, str) or not all(isinstance(gate, str | Gate) for gate in gates):
        raise InputError('gates: give a list of texts, such as gates=["robust accuracy: at most 1 point worse"].')
    if wrong := [type(run).__name__ for run in runs if not isinstance(run, str | Path | RunFolder)]:
        raise InputError(f"runs: one is of type {wrong[0]}. Give the paths of run folders.")
    made = [parse_gate(gate) if isinstance(gate, str) else gate for gate in gates]
    found = compare_runs(
        runs, gates=made, gates_by=gates_by, names=names, hardened=hardened, match_names=match_names, eps=eps
    )
    return Compared(found, tuple(one.path if isinstance(one, RunFolder) else Path(one) for one in runs))
