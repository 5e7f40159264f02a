"""An audit from the command line: its progress, its report, and the exit status that says how it ended."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from palpate.commands.status import FINISHED, GATE_FAILED, INCOMPLETE, INTERRUPTED
from palpate.console import console, echo
from palpate.errors import InputError
from palpate.memory import out_of_memory

if TYPE_CHECKING:
    from palpate.audit.run.runner import AuditOutcome


def run_folder(plan: Path) -> Path:
    """The run folder of a plan, if no other is given; the copy of a plan in a run folder goes on in that run."""
    from palpate.audit.plan.copies import run_of

    if (run := run_of(plan)) is not None:
        return run.path
    return plan.parent / "runs" / plan.stem


def carry_out(
    path: Path,
    out: Path | None,
    *,
    root: Path | None = None,
    update: bool = False,
    allow_pickle: bool = False,
    threads: int | None = None,
    quiet: bool = False,
    engine: str | None = None,
    workers: int | None = None,
) -> int:
    """Carry out a plan, or continue it, and write its report; gives the exit status."""
    import torch

    from palpate.allocator import choose_allocation
    from palpate.audit.plan.plan import load_plan
    from palpate.audit.run.display import displayed
    from palpate.audit.run.runner import audit

    plan = load_plan(path, root).on(engine, workers)
    folder = out or run_folder(path)
    # Sliding windows are for images that are too large for memory; then memory is more important than speed.
    choose_allocation(frugal=plan.model.inferer.size is not None)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with nullcontext() if quiet else displayed(console(stderr=True)) as progress:
            outcome = audit(
                plan, folder, update=update, allow_pickle=allow_pickle, progress=progress, given_up=_give_up
            )
        if not outcome.interrupted:
            return _conclude(outcome, quiet)
        stored = f"{outcome.done} of {outcome.total} shards are"
        if outcome.done == outcome.total:
            stored = f"all attacks are done, some were not traced yet; {stored}"
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise InputError(
            f"There is not enough memory. Close other programs, lower run.batch in {path} and continue with --update, "
            "or use a machine with more memory. Finished work is kept."
        ) from error
    except KeyboardInterrupt:
        stored = f"{len(list((folder / 'records').glob('*.parquet')))} shards are"
    echo(f"Stopped: {stored} stored in {folder}. The same command continues from there.", err=True)
    return INTERRUPTED


def _give_up(text: str) -> None:
    """End the process from another thread: the model's call cannot be interrupted and does not return."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # the progress bar had hidden the cursor
    echo(
        f"palpate: {text} The process ends here; finished work is kept. The same command continues with the other "
        "attacks first.",
        err=True,
    )
    sys.stderr.flush()
    os._exit(INCOMPLETE)


def _say_failures(outcome: AuditOutcome) -> None:
    """Print on stderr why the exit status is not 0."""
    for gate in outcome.gates:
        if not gate.passed:
            value = "it is not defined" if gate.value is None else f"measured {gate.value:.4g}"
            echo(f"Gate failed: {gate.text} ({value}).", err=True)
    for finding in outcome.findings:
        if finding.level == "failure" and finding.subject in outcome.failed:
            echo(f"Attack failed: {finding.subject}: {finding.text}", err=True)


def _conclude(outcome: AuditOutcome, quiet: bool) -> int:
    from palpate.report.compute.results import measure
    from palpate.report.page.html import write_report
    from palpate.storage.runs import RunFolder

    run = RunFolder(outcome.folder)
    results = measure(run)
    path = write_report(run, results=results)
    if quiet:
        _say_failures(outcome)
        echo(path)
    else:
        from palpate.report.page.terminal import show as show_run

        show_run(run, console(), results=results)
    if outcome.failed or outcome.status != "finished":
        return INCOMPLETE
    return FINISHED if outcome.passed else GATE_FAILED
