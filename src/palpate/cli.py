"""The command line: thin and quick. A command imports heavy libraries only when it needs them."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palpate.commands.carry_out import carry_out, run_folder
from palpate.commands.cite import cite
from palpate.commands.compare import compare
from palpate.commands.demo import demo
from palpate.commands.estimate import estimate
from palpate.commands.evidence import evidence
from palpate.commands.harden import harden
from palpate.commands.status import (
    BAD_INPUT,
    FAULT,
    AllowPickle,
    Engine,
    Json,
    Plan,
    Quiet,
    Root,
    Threads,
    Verbose,
)
from palpate.commands.view import view
from palpate.console import console, echo, echo_lines, guarded, unread
from palpate.errors import InputError, PalpateError
from palpate.lists import lists
from palpate.memory import out_of_memory

if TYPE_CHECKING:
    pass

app = typer.Typer(
    name="palpate",
    help="Test how robust a medical-image model is, repair it, and prove the repair.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lists, name="list")


def main(arguments: Sequence[str] | None = None) -> None:
    """The console entry: a failure that the user can correct gives one sentence on stderr and exit status 2.

    A fault of palpate itself gives a traceback and status 70, so that status 1 always means a failed gate.
    """
    # On a shared machine, threads that wait by spinning make an audit several times slower; sleeping threads cost
    # almost nothing. OpenMP reads this once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with guarded(), unread():
            app(args=None if arguments is None else list(arguments), prog_name="palpate")
    except PalpateError as error:
        _refuse(str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.strerror is not None:
            _refuse(f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}.")
        if out_of_memory(error):
            _refuse("There is not enough memory. Close other programs, or use a machine with more memory.")
        for line in traceback.format_exc().splitlines():
            echo(line, err=True)
        echo("palpate: This is a fault of palpate itself. Please report it with the lines above.", err=True)
        sys.exit(FAULT)


def _refuse(sentence: str) -> None:
    # If the disk of a log is full, the sentence is lost. The status must still be right, and not that of a failed gate.
    with suppress(OSError, ValueError):
        echo(f"palpate: {sentence}", err=True, lines=True)
    sys.exit(BAD_INPUT)


def _version(wanted: bool) -> None:
    if wanted:
        from palpate import __version__

        echo(f"palpate {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


# -- audits -------------------------------------------------------------------------------------------------------

Run = Annotated[Path, typer.Argument(help="The run folder.")]


@app.command()
def audit(
    plan: Plan,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/<plan's name> next to the plan.")] = None,
    root: Root = None,
    update: Annotated[
        bool, typer.Option("--update", help="Continue although plan, model or images changed; keep what still fits.")
    ] = False,
    allow_pickle: AllowPickle = False,
    threads: Threads = None,
    engine: Annotated[
        Engine | None, typer.Option(help="Where shards are computed, instead of run.engine; records are the same.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Workers of that engine, instead of run.workers.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be run, from plan and table; nothing is run or written.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the gates to this file, as JUnit XML for CI.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Carry out a plan, or continue it, and write its report.

    A run folder holds the copy of its plan: `palpate audit RUN/plan.toml` goes on in that run, and with --out another
    folder repeats it.

    Exit status: 0 finished and every gate passed; 1 a gate failed; 2 bad input; 3 some attack could not run; 70 a fault
    of palpate itself, with a traceback; 130 interrupted.
    """
    given = None if engine is None else engine.value
    if dry_run:
        from palpate.commands.dry_run import dry_run as show_dry_run

        show_dry_run(plan, out or run_folder(plan), root=root, as_json=as_json)
        return
    raise typer.Exit(
        carry_out(
            plan,
            out,
            root=root,
            update=update,
            allow_pickle=allow_pickle,
            threads=threads,
            quiet=quiet,
            engine=given,
            workers=workers,
            verbose=verbose,
            as_json=as_json,
            junit=junit,
        )
    )


app.command()(demo)


class TaskKind(StrEnum):
    """What a model may do."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the labelled images and the model.")],
    out: Annotated[Path | None, typer.Option(help="The plan to write; DIR/plan.toml by default.")] = None,
    task: Annotated[
        TaskKind | None, typer.Option(help="What the model does, if the folder holds annotations of several kinds.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing plan.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the plan's path.")] = False,
) -> None:
    """Write a first plan from the images and the model in a folder; no model code is run."""
    out = out or folder / "plan.toml"
    if out.exists() and not force:
        raise InputError(f"{out} exists already. Choose another --out, or replace it with --force.")
    from palpate.audit.plan.lines import marked
    from palpate.audit.plan.toml_words import CHECK, FILL_IN
    from palpate.audit.starter.plan import seen, starting_plan, unfinished
    from palpate.storage.writing import write_atomically

    text = starting_plan(folder, out.parent, None if task is None else task.value)
    write_atomically(out, text.encode())
    if as_json or quiet:
        found = {
            "plan": str(out),
            "seen": seen(text),
            "fill_in": [{"line": number, "text": asked} for number, asked in unfinished(text)],
            "check": [{"line": one.line, "text": one.code} for one in marked(text, CHECK)],
        }
        echo_lines(json.dumps(found, indent=1) if as_json else str(out))
        return
    for line in seen(text):
        echo(line)
    echo(f"Wrote {out}. Look at the lines marked {CHECK}.")
    waiting = unfinished(text)
    for number, asked in waiting:
        echo(f"  line {number} needs your value: {asked}")
    first = f"Write the right values there and remove the words {FILL_IN}. " if waiting else ""
    echo(f"{first}Then: palpate audit {out}")


@app.command()
def preview(
    plan: Plan,
    out: Annotated[
        Path | None, typer.Option(help="A PNG for one artefact, or a folder; by default preview/ next to the plan.")
    ] = None,
    root: Root = None,
    images: Annotated[int, typer.Option(min=1, max=20, help="Images of each sheet.")] = 3,
    artefact: Annotated[str | None, typer.Option(help="Only this one, also if the plan does not have it.")] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Values that are shown black and white, such as -160 240 for soft tissue in HU."),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Write the images' file names, which may identify patients.")
    ] = False,
) -> None:
    """A contact sheet per artefact of the plan: images by severity, to see if they look right. No model is run."""
    from palpate.audit.plan.plan import load_plan
    from palpate.audit.preview.preview import preview as previewed

    sheets = previewed(load_plan(plan, root), out=out, images=images, artefact=artefact, names=names, window=window)
    for made in sheets:
        if made.path is None:
            echo(f"No sheet of {made.artefact}: {made.why}", err=True)
        else:
            echo(made.path)


@app.command()
def show(
    run: Run,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the sentence and the gates.")] = False,
) -> None:
    """The result of a run, in the terminal; as JSON it is what results.json holds."""
    from palpate.storage.runs import RunFolder

    if as_json:
        from palpate.report.compute.results import measure

        echo_lines(json.dumps(measure(RunFolder(run)).model_dump(mode="json"), indent=1, allow_nan=False))
        return
    from palpate.report.page.terminal import show as show_run

    show_run(RunFolder(run), console(), brief=quiet)


@app.command()
def report(
    run: Run,
    names: Annotated[
        bool, typer.Option("--names", help="Show the images' file names, which may identify patients.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Open what is folded, so that a print has the appendix too.")
    ] = False,
) -> None:
    """Write the report of a run again: report.html and results.json."""
    from palpate.report.page.html import write_report
    from palpate.storage.runs import RunFolder

    echo(write_report(RunFolder(run), names=names, full=full))


app.command()(view)
app.command()(estimate)
app.command()(compare)
app.command()(evidence)
app.command()(harden)


# -- facts ---------------------------------------------------------------------------------------------------------


@app.command()
def describe(
    file: Annotated[Path, typer.Argument(help="An image file, or a folder with the slices of a DICOM series.")],
    as_json: Json = False,
) -> None:
    """What palpate reads from an image: stored numbers, their meaning, spacing. Identifiers are not shown."""
    from dataclasses import asdict

    from palpate.data.formats.extremes import extremes
    from palpate.data.formats.registry import header_of

    header, held = header_of(file), extremes(file)
    facts = asdict(header) | {"values": header.bounds, "step": header.step} | held
    if header.orientation == 1:  # stored as it is shown
        del facts["orientation"]
    if as_json:
        echo_lines(json.dumps({"file": str(file), **facts}, indent=1, default=float))
        return
    for name, value in facts.items():
        shown = " x ".join(map(str, value)) if name in ("shape", "spacing") and value else value
        echo(f"{name:<10} {'not known' if value in (None, '') else shown}")


app.command()(cite)
