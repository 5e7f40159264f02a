"""The audits before and after, the measurements around them, and the comparison of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.tasks import plan_task
from palpate.audit.run.progress import Progress
from palpate.audit.run.runner import AuditOutcome
from palpate.audit.run.runner import audit as carry_out
from palpate.audit.subject.subject import load_subject
from palpate.errors import StorageError
from palpate.hardening.proof.checks import RESTARTS, STEPS, Measured, measured, rows_of
from palpate.hardening.proof.plans import Extent, proof_plan
from palpate.hardening.proof.recorded import RECORDED, recorded
from palpate.hardening.record import FILE
from palpate.hardening.run import Hardened
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

CHECKS = "checks.json"
Shown = Callable[[], AbstractContextManager[Progress]]
"""Opens a display for the progress of one audit."""


@dataclass(frozen=True)
class Proof:
    """Both audits.

    Attributes:
        before: run folder of the model before training.
        after: run folder of the trained model; it holds `harden.json` and `checks.json`.
        interrupted: an audit was stopped; the same command continues.
    """

    before: Path
    after: Path
    interrupted: bool = False


def prove(
    plan: Plan,
    hardened: Hardened,
    extent: Extent,
    shown: Shown,
    *,
    allow_pickle: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Proof:
    """Audit the model before and after training with the same plan, and measure what else the verdict needs.

    Finished work is kept: a second call continues.

    Args:
        plan: the user's plan.
        hardened: what the training gave.
        extent: `full` keeps everything of the plan, `short` only two attacks.
        shown: opens a display for each audit.
        allow_pickle: as for an audit.
        say: is called with a sentence before each part.

    Raises:
        InputError: an audit cannot be carried out.
    """
    assert hardened.saved is not None
    eps = hardened.material.eps
    folders = hardened.folder / "before", hardened.folder / "after"
    plans = [proof_plan(hardened.material.plan, eps, extent, saved) for saved in (None, hardened.saved)]
    for which, made, folder in zip(("before", "after"), plans, folders, strict=True):
        say(f"The audit {which} training{' is stored already' if _stored(made, folder) else ''}.")
        outcome = _audited(made, folder, shown, allow_pickle)
        if outcome.interrupted:
            return Proof(*folders, interrupted=True)
        write_report(RunFolder(folder))
    write_atomically(folders[1] / FILE, (hardened.folder / FILE).read_bytes())
    subjects = [load_subject(made, allow_pickle=allow_pickle) for made in plans]
    rows = rows_of(subjects[0], extent)
    models = [
        Measured(subject, rows, plan_task(made, "untargeted"), plan.run.batch, plan.seed)
        for made, subject in zip(plans, subjects, strict=True)
    ]
    _write_checks(plan, models, eps, folders, extent, say)
    return Proof(*folders)


def _audited(plan: Plan, folder: Path, shown: Shown, allow_pickle: bool) -> AuditOutcome:
    with shown() as progress:
        # A second training gives other weights, so an earlier audit of the same folder is brought up to date.
        return carry_out(plan, folder, update=True, allow_pickle=allow_pickle, progress=progress)


def _stored(plan: Plan, folder: Path) -> bool:
    """Whether a run folder holds the finished audit of this plan."""
    run = RunFolder(folder)
    try:
        same = run.plan.read_text(encoding="utf-8") == plan.text
        return same and run.describe().get("status") == "finished" and run.complete()
    except (OSError, StorageError):
        return False


def _write_checks(
    plan: Plan,
    models: list[Measured],
    eps: float,
    folders: tuple[Path, Path],
    extent: Extent,
    say: Callable[[str], None],
) -> None:
    """Write `checks.json`; what it holds of these models and images already is not measured again."""
    known: list[Any] = [model.subject.identity(model.rows) for model in models]
    known += [eps, plan.seed, encode(plan.threat.build(eps))]
    if models[0].task != models[1].task:
        known.append([encode(model.task) for model in models])
    if extent != "full":
        # Full proofs keep the identity that they had before short ones had other climbs.
        known += [STEPS[extent], RESTARTS[extent]]
    identity, path = digest(known), folders[1] / CHECKS
    read = [one.stored for one in recorded(*folders, models[0].rows, eps)]
    found = _measured_already(path, identity)
    if found is None:
        say("Checks that the gain is real: more starts, another norm, images made against the old model.")
        found = [one.stored for one in measured(models[0], models[1], plan.threat, eps, extent)]
    contents: dict[str, Any] = {"version": 1, "identity": identity, "eps": eps, "measurements": [*found, *read]}
    if plan.harden is not None:
        contents["lose_at_most"] = plan.harden.lose_at_most
    write_atomically(path, (json.dumps(contents, indent=2) + "\n").encode())


def _measured_already(path: Path, identity: str) -> list[dict[str, Any]] | None:
    """The measurements of `checks.json` that the audits do not hold; None if it is about something else."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(stored, dict) or stored.get("identity") != identity:
        return None
    return [one for one in stored["measurements"] if one["name"] not in RECORDED]
