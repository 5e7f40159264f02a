"""`palpate demo`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from palpate.commands import harden
from palpate.commands.carry_out import carry_out, run_folder
from palpate.commands.status import FINISHED, GATE_FAILED, Quiet, Threads
from palpate.console import echo, echo_lines


class DemoTask(StrEnum):
    """The tasks of the demo."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"
    DETECTION = "detection"


def demo(
    task: Annotated[DemoTask | None, typer.Option(help="One task; all three by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for images, models, plans and runs.")] = Path("palpate-demo"),
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Whole audits, offline, in a few minutes: digital phantoms and small networks for three tasks, side by side.

    At the end the grading network is trained against attacks, and compared with the one before.
    """
    from palpate.audit.demo.folder import DEMOS, write_demo
    from palpate.audit.engines.processes import processors
    from palpate.commands.beside import Beside

    names = [name.value for name in (DemoTask if task is None else (task,))]
    plans = {name: write_demo(out, name) for name in names}
    for plan in plans.values():
        echo(f"The plan is {plan}. Read it, change it, and run it again: palpate audit {plan} --update", err=True)
    # Two processes of one thread take less time than one with two. A repair takes as long as an audit.
    apart = [name for name in names if DEMOS[name].training] if len(names) > 1 else []
    half = (threads or processors()) // 2 if apart else 0
    jobs = {name: ("demo", "--task", name, "--out", str(out)) for name in apart} if half else {}
    for name in jobs:
        echo(f"{name.capitalize()} runs beside the others and is shown at the end.", err=True)
    worst = FINISHED
    with Beside(jobs.values(), half, quiet=quiet) as beside:
        # What runs in this process shows its progress, and the others can be waited for.
        for name in sorted(names, key=lambda name: name in jobs):
            here = name not in jobs
            status = _shown(name, plans[name], half or threads, quiet) if here else beside.status(jobs[name])
            if status not in (FINISHED, GATE_FAILED):
                raise typer.Exit(status)
            worst = max(worst, status)
    raise typer.Exit(worst)


def _shown(name: str, plan: Path, threads: int | None, quiet: bool) -> int:
    """One audit, its lessons and, if the plan says how to train, what `palpate harden PLAN --proof short` does."""
    status = carry_out(plan, None, threads=threads, quiet=quiet)
    if status not in (FINISHED, GATE_FAILED):
        return status
    if not quiet:
        echo_lines("\n".join([f"{name.capitalize()}:", *(f"  {lesson}" for lesson in _lessons(plan))]))
    if not _can_train(plan):
        return status
    echo(f"Now the repair: palpate harden {plan} --proof short", err=True)
    return harden.carry_out(plan, None, "short", threads=threads, quiet=quiet) or status


def _can_train(plan: Path) -> bool:
    from palpate.audit.plan.plan import load_plan

    return load_plan(plan).harden is not None


def _lessons(plan: Path) -> list[str]:
    from palpate.report.compute.lessons import lessons
    from palpate.storage.runs import RunFolder

    results = RunFolder(run_folder(plan)).results
    return lessons(json.loads(results.read_text(encoding="utf-8")))
