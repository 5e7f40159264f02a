"""`palpate harden`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palpate.commands.status import FINISHED, INTERRUPTED, NOT_BETTER, AllowPickle, Plan, Root, Threads
from palpate.console import console, echo

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan as PlanOfAudit
    from palpate.hardening.run import Hardened


class ProofExtent(StrEnum):
    """How the trained model is audited."""

    FULL = "full"
    SHORT = "short"
    NONE = "none"


def harden(
    plan: Plan,
    root: Root = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results and of the new plan; default: hardened/<plan's name> next to the plan, and the "
            "new plan next to it too."
        ),
    ] = None,
    proof: Annotated[
        ProofExtent,
        typer.Option(help="Audits before and after: the whole plan with stronger attacks, two attacks, or none."),
    ] = ProofExtent.FULL,
    allow_pickle: AllowPickle = False,
    threads: Threads = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Lines inside each epoch, and one for each stored shard of the audits."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table; only the paths.")] = False,
) -> None:
    """Train the plan's model against attacks, and prove what was gained and what it cost.

    The plan has a table [harden] with the training images. Stopped or killed, the same command continues.

    Exit status: 0 finished; 1 no epoch was better; 2 bad input; 70 a fault of palpate itself, with a traceback; 130
    interrupted.
    """
    raise typer.Exit(
        carry_out(
            plan,
            out,
            proof.value,
            root=root,
            allow_pickle=allow_pickle,
            threads=threads,
            verbose=verbose,
            quiet=quiet,
        )
    )


def carry_out(
    path: Path,
    out: Path | None,
    proof: str,
    *,
    root: Path | None = None,
    allow_pickle: bool = False,
    threads: int | None = None,
    verbose: bool = False,
    quiet: bool = False,
) -> int:
    """Train, prove and show; the exit status."""
    from palpate.audit.plan.plan import load_plan

    plan = load_plan(path, root)  # before the training is imported, which takes as long: a mistake is shown at once
    plan.training()
    import torch

    from palpate.hardening.display import displayed
    from palpate.hardening.run import default_folder, harden_plan

    folder = out or default_folder(plan)
    if threads is not None:
        torch.set_num_threads(threads)
    with displayed(console(stderr=True), verbose=verbose, quiet=quiet) as progress:
        hardened = harden_plan(plan, folder, allow_pickle=allow_pickle, progress=progress, say=progress.message)
    if hardened.saved is None:
        echo(f"Stopped; {folder} keeps what was done. The same command continues from there.", err=True)
        return INTERRUPTED
    if not quiet:
        _show(hardened)
    if hardened.trained.best == 0:
        echo("The weights are unchanged, so there is nothing to prove.", err=True)
        return NOT_BETTER
    if proof == "none":
        echo(hardened.saved.path)
        return FINISHED
    return _proven(plan, hardened, proof, allow_pickle, verbose=verbose, quiet=quiet)


def _show(hardened: Hardened) -> None:
    from palpate.hardening.words import sentences

    for line in sentences(hardened):
        echo(line)


def _proven(
    plan: PlanOfAudit, hardened: Hardened, proof: str, allow_pickle: bool, *, verbose: bool, quiet: bool
) -> int:
    from contextlib import nullcontext

    from palpate.audit.run.display import displayed
    from palpate.audit.run.progress import Silence
    from palpate.hardening.proof.prove import prove
    from palpate.report.page.compare_terminal import show_comparison
    from palpate.report.page.comparing import compare

    found = prove(
        plan,
        hardened,
        "full" if proof == "full" else "short",
        lambda: nullcontext(Silence()) if quiet else displayed(console(stderr=True), every_shard=verbose),
        allow_pickle=allow_pickle,
        say=(lambda text: None) if quiet else lambda text: echo(text, err=True),
    )
    if found.interrupted:
        echo("Stopped; the same command continues from there.", err=True)
        return INTERRUPTED
    compared = compare(found.before, found.after)
    page = compared.write(hardened.folder)
    if not quiet:
        show_comparison(compared.comparison, console())
    echo(page)
    return FINISHED
