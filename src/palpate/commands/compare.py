"""`palpate compare`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from palpate.commands.status import FINISHED, GATE_FAILED
from palpate.console import console, echo


class GatesBy(StrEnum):
    """What must be within the limit of a gate."""

    ESTIMATE = "estimate"
    INTERVAL = "interval"


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="A B [C ...]", help="Run folders; the others are compared with the first.")
    ],
    gate: Annotated[
        list[str] | None,
        typer.Option("--gate", help="A limit, such as 'robust accuracy: at most 1 point worse'; may be repeated."),
    ] = None,
    gates: Annotated[Path | None, typer.Option("--gates", help="A TOML file with [[gates]].")] = None,
    gates_by: Annotated[
        GatesBy,
        typer.Option(
            help="What must be within the limits: the estimate, or the whole 95% interval (needs many images)."
        ),
    ] = GatesBy.ESTIMATE,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for compare.html and compare.json; by default compare-A-B next to the last run."),
    ] = None,
    eps: Annotated[
        str | None, typer.Option(help="Budget of the sentences, such as 4/255; by default the main budget of A.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Show the images' file names, which may identify patients.")
    ] = False,
    match_names: Annotated[
        bool,
        typer.Option(
            "--match-names", help="If the images differ, compare those of the same name; pixels are not checked."
        ),
    ] = False,
    hardened: Annotated[
        bool,
        typer.Option(
            "--hardened",
            help="Judge whether the later models may be called hardened; always done if a run folder has harden.json.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table; only the page's path.")] = False,
) -> None:
    """Compare runs over the same images: what was gained, what was lost, and for which images.

    Exit status: 0 every gate passed; 1 a gate failed; 2 the runs cannot be compared.
    """
    from palpate.report.compute.compare.gates import parse_gate, read_gates
    from palpate.report.page.compare_terminal import show_comparison
    from palpate.report.page.comparing import compare as compared

    limits = [*(read_gates(gates) if gates else []), *map(parse_gate, gate or [])]
    found = compared(
        *runs,
        gates=limits,
        gates_by=gates_by.value,
        names=names,
        hardened=hardened,
        match_names=match_names,
        eps=eps,
    )
    page = found.write(out)
    if quiet:
        for one in found.gates:
            if not one.passed:
                echo(f"Gate failed: {one.text} ({one.figure}). {one.note}", err=True)
        echo(page)
    else:
        show_comparison(found.comparison, console())
        echo(f"Page: {page}")
    raise typer.Exit(FINISHED if found.passed else GATE_FAILED)
