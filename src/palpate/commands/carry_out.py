"""An audit from the command line: its progress, its report, and the exit status that says how it ended."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palpate.commands.status import FINISHED, GATE_FAILED, INCOMPLETE, INTERRUPTED
from palpate.console import console, echo, echo_lines
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
    verbose: bool = False,
    as_json: bool = False,
    junit: Path | None = None,
) -> int:
    """Carry out a plan, or continue it, and write its report; gives the exit status.

    `as_json` prints the outcome as JSON on stdout; `junit` is a file for the gates.
    """
    import torch

    from palpate.allocator import choose_allocation
    from palpate.audit.plan.plan import load_plan
    from palpate.audit.run.display import displayed
    from palpate.audit.run.runner import audit

    plan = load_plan(path, root).on(engine, workers)
    folder = out or run_folder(path)
    # Sliding windows are for images that are too large for memory; then memory is more important than speed.
    choose_allocation(frugal=plan.model.windowed)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with nullcontext() if quiet else displayed(console(stderr=True), every_shard=verbose) as progress:
            outcome = audit(
                plan, folder, update=update, allow_pickle=allow_pickle, progress=progress, given_up=_give_up
            )
        if not outcome.interrupted:
            return _conclude(outcome, quiet, as_json, junit)
        stored = f"{outcome.done} of {outcome.total} shards are"
        if outcome.done == outcome.total:
            stored = f"all attacks are done, but not all probes and traces; {stored}"
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


def _summary(outcome: AuditOutcome, status: int) -> dict[str, Any]:
    """What `--json` prints; the keys are documented in docs/howto/ci.md."""
    from palpate.storage.runs import RunFolder

    run = RunFolder(outcome.folder)
    return {
        "folder": str(run.path),
        "status": outcome.status,
        "exit": status,
        "passed": outcome.passed,
        "shards": {"stored": outcome.done, "total": outcome.total},
        "failed": list(outcome.failed),
        "gates": [asdict(gate) for gate in outcome.gates],
        "findings": [asdict(finding) for finding in outcome.findings],
        "report": str(run.report),
        "results": str(run.results),
    }


def _status(outcome: AuditOutcome) -> int:
    if outcome.failed or outcome.status != "finished":
        return INCOMPLETE
    return FINISHED if outcome.passed else GATE_FAILED


def _write_junit(path: Path, title: str, outcome: AuditOutcome) -> None:
    from palpate.evidence.junit import junit
    from palpate.storage.writing import write_atomically

    finished = outcome.status == "finished"
    write_atomically(path, junit(title, outcome.gates, failed=outcome.failed, finished=finished))


def _conclude(outcome: AuditOutcome, quiet: bool, as_json: bool, junit: Path | None) -> int:
    from palpate.report.compute.results import measure
    from palpate.report.page.html import write_report
    from palpate.storage.runs import RunFolder

    run = RunFolder(outcome.folder)
    results = measure(run)
    path, status = write_report(run, results=results), _status(outcome)
    if junit is not None:
        _write_junit(junit, results.title, outcome)
    if as_json:
        echo_lines(json.dumps(_summary(outcome, status), indent=1))
    elif quiet:
        _say_failures(outcome)
        echo(path)
    else:
        from palpate.report.page.terminal import show as show_run

        show_run(run, console(), results=results)
    return status
