"""`palpate demo`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palpate.commands import harden
from palpate.commands.carry_out import carry_out, run_folder
from palpate.commands.status import FINISHED, GATE_FAILED, Quiet, Threads
from palpate.console import echo, echo_lines

if TYPE_CHECKING:
    from palpate.commands.beside import Beside, Job


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
    from palpate.audit.demo.folder import write_demo
    from palpate.audit.engines.processes import processors
    from palpate.commands.beside import Beside

    plans = {name.value: write_demo(out, name.value) for name in (DemoTask if task is None else (task,))}
    for plan in plans.values():
        echo(f"The plan is {plan}. Read it, change it, and run it again: palpate audit {plan} --update", err=True)
    repaired = [plan for plan in plans.values() if _can_train(plan)]
    # Two processes of one thread take less time than one after the other with two.
    apart = repaired or list(plans.values())[:1]
    half = (threads or processors()) // 2 if len(apart) < len(plans) else 0
    jobs = [*map(_audit, apart), *map(_repair, repaired)] if half else []
    with Beside(jobs, half, quiet=quiet) as beside:
        work = _Work(beside, frozenset(jobs), half or threads, quiet)
        # What runs in this process shows its progress, and the others can be waited for.
        worst = max(work.audit(plan) for plan in sorted(plans.values(), key=lambda plan: _audit(plan) in jobs))
        if not quiet:
            for name, plan in plans.items():
                echo_lines("\n".join([f"{name.capitalize()}:", *(f"  {lesson}" for lesson in _lessons(plan))]))
        for plan in repaired:
            worst = work.repair(plan) or worst
    raise typer.Exit(worst)


class _Work:
    """What is done here, or was begun beside it."""

    def __init__(self, beside: Beside, jobs: frozenset[Job], threads: int | None, quiet: bool):
        self.beside, self.jobs, self.threads, self.quiet = beside, jobs, threads, quiet

    def audit(self, plan: Path) -> int:
        """The status of an audit that has an end; another ends the demo."""
        if _audit(plan) in self.jobs:
            status = self.beside.status(_audit(plan))
        else:
            status = carry_out(plan, None, threads=self.threads, quiet=self.quiet)
        if status not in (FINISHED, GATE_FAILED):
            raise typer.Exit(status)
        return status

    def repair(self, plan: Path) -> int:
        """What `palpate harden PLAN --proof short` does; its status."""
        echo(f"Now the repair: palpate {' '.join(_repair(plan))}", err=True)
        if _repair(plan) in self.jobs:
            return self.beside.status(_repair(plan))
        return harden.carry_out(plan, None, "short", threads=self.threads, quiet=self.quiet)


def _audit(plan: Path) -> Job:
    return ("audit", str(plan))


def _repair(plan: Path) -> Job:
    return ("harden", str(plan), "--proof", "short")


def _can_train(plan: Path) -> bool:
    from palpate.audit.plan.plan import load_plan

    return load_plan(plan).harden is not None


def _lessons(plan: Path) -> list[str]:
    from palpate.report.compute.lessons import lessons
    from palpate.storage.runs import RunFolder

    results = RunFolder(run_folder(plan)).results
    return lessons(json.loads(results.read_text(encoding="utf-8")))
