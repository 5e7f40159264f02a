"""`palpate demo`."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
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

    Beside its audit, the grading network is trained against attacks, and compared with the one before.
    """
    from palpate.audit.demo.folder import DEMOS, write_demo
    from palpate.audit.engines.processes import processors
    from palpate.commands.beside import Beside

    names = [name.value for name in (DemoTask if task is None else (task,))]
    plans = {name: write_demo(out, name) for name in names}
    for plan in plans.values():
        echo(f"The plan is {plan}. Read it, change it, and run it again: palpate audit {plan} --update", err=True)
    repairs = [plans[name] for name in names if DEMOS[name].training and _can_train(plans[name])]
    # Two processes of one thread take less time than one with two. A repair takes as long as an audit or two.
    half = (threads or processors()) // 2 if repairs or names[2:] else 0
    jobs = [_repair(plan) for plan in repairs] if half else []
    apart = {name: ("demo", "--task", name, "--out", str(out)) for name in names[2:]} if half else {}
    worst = FINISHED
    with Beside([*jobs, *apart.values()], half, quiet=quiet) as beside:
        for job in beside.jobs:
            echo(f"Beside this, and shown at the end: palpate {' '.join(job)}", err=True)
        # What runs in this process shows its progress, and the others can be waited for.
        steps = [
            *(partial(_audited, plans[name], half or threads, quiet) for name in names if name not in apart),
            *(partial(beside.status, job) for job in apart.values()),
            *(partial(beside.status, job) for job in jobs),
            *(partial(_repaired, plan, threads, quiet) for plan in repairs if not half),
        ]
        for step in steps:
            status = step()
            if status not in (FINISHED, GATE_FAILED):
                raise typer.Exit(status)
            worst = max(worst, status)
    raise typer.Exit(worst)


def _repair(plan: Path) -> tuple[str, ...]:
    return "harden", str(plan), "--proof", "short"


def _audited(plan: Path, threads: int | None, quiet: bool) -> int:
    """One audit and its lessons."""
    status = carry_out(plan, None, threads=threads, quiet=quiet)
    if status in (FINISHED, GATE_FAILED) and not quiet:
        name = plan.parent.name.capitalize()
        echo_lines("\n".join([f"{name}:", *(f"  {lesson}" for lesson in _lessons(plan))]))
    return status


def _repaired(plan: Path, threads: int | None, quiet: bool) -> int:
    echo(f"Now the repair: palpate {' '.join(_repair(plan))}", err=True)
    return harden.carry_out(plan, None, "short", threads=threads, quiet=quiet)


def _can_train(plan: Path) -> bool:
    from palpate.audit.plan.plan import load_plan

    return load_plan(plan).harden is not None


def _lessons(plan: Path) -> list[str]:
    from palpate.report.compute.lessons import lessons
    from palpate.storage.runs import RunFolder

    results = RunFolder(run_folder(plan)).results
    return lessons(json.loads(results.read_text(encoding="utf-8")))
