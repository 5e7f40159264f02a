"""`palpate.audit`: carry out a plan from Python, and read its run folder."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from palpate.api.run import Run
from palpate.audit.plan.plan import Plan, load_plan, parse_plan
from palpate.console import console
from palpate.errors import InputError, PlanError

if TYPE_CHECKING:
    from palpate.audit.run.runner import AuditOutcome

_NAME = "plan.toml"
"""The name that messages give to a plan that is no file: that of its copy in the run folder."""


def audit(
    plan: Plan | Mapping[str, Any] | Path | str,
    folder: Path | str | None = None,
    *,
    root: Path | str | None = None,
    update: bool = False,
    allow_pickle: bool = False,
    progress: bool = False,
    report: bool = True,
) -> Run:
    """Carry out a plan in a run folder, or continue it, and return the run.

        run = palpate.audit("plan.toml")
        run = palpate.audit({"model": {...}, "data": {...}, "task": {...}, "threat": {...}, "attacks": [...]},
                            folder="runs/first", root="data")
        run.robust_accuracy(eps="1/255"), run.gates, run.records

    It is the same as `palpate audit` on the command line: finished work is never done again, and the records are the
    same bytes. The model of an audit comes from files, whose digests identify the run; a module that exists only in
    memory has none. Save its weights and name them with a factory, or use `palpate.evaluate`.

    Args:
        plan: a TOML file, a plan that was loaded, or a dict with the fields of a plan.
        folder: the run folder; by default `runs/NAME` beside the file. A dict has no place of its own, so it needs one.
        root: the folder that paths of a dict are relative to; the current one by default.
        update: continue although plan, model or images changed; what still fits is kept.
        allow_pickle: load a pickled model. Such a file can run any code on this machine.
        progress: show how it proceeds, on stderr.
        report: write `report.html` and `results.json` at the end.

    Raises:
        PlanError: a field is unknown, missing or impossible; the text gives the fix.
        InputError: the model or the images cannot be audited.
        StorageError: the folder is in use, belongs to another plan, or cannot be written.
        KeyboardInterrupt: it was stopped. Finished work is kept, and the same call continues.
    """
    from palpate.audit.run.display import displayed
    from palpate.audit.run.runner import audit as carry_out

    made = _plan(plan, root)
    place = _folder(plan, made, folder)
    with displayed(console(stderr=True)) if progress else nullcontext() as shown:
        outcome = carry_out(made, place, update=update, allow_pickle=allow_pickle, progress=shown)
    if outcome.interrupted:
        raise KeyboardInterrupt(f"{outcome.done} of {outcome.total} shards are stored in {place}. Call again to go on.")
    _say_failures(outcome)
    run = Run(place)
    if report:
        from palpate.report.page.html import write_report

        write_report(run.folder, results=run.results)
    return run


def _plan(given: Plan | Mapping[str, Any] | Path | str, root: Path | str | None) -> Plan:
    if isinstance(given, Mapping):
        text = tomli_w.dumps(_writable(given, "the plan"))
        place = Path() if root is None else Path(root)
        if not place.is_dir():
            raise InputError(f"root: {place} is not a folder.")
        try:
            return parse_plan(text, place / _NAME)
        except PlanError as error:
            raise PlanError(_fields_only(str(error), place / _NAME)) from error
    if root is not None:
        raise InputError("root: it is for a plan that is a dict. A file says where its paths start: paths_from.")
    if isinstance(given, Plan):
        return given
    if not isinstance(given, (str, Path)):
        kind = type(given).__name__
        raise InputError(
            f"plan: it is of type {kind}. Give a TOML file or a dict; a model belongs to palpate.evaluate."
        )
    return load_plan(Path(given))


def _fields_only(text: str, origin: Path) -> str:
    """What is wrong with a dict: it has no file and no lines."""
    text = re.sub(rf"^{re.escape(str(origin))}(, line \d+)?:? ?", "", text)
    return re.sub(r"^(  )line \d+, ", r"\1", text if not text.startswith("has ") else f"The plan {text}", flags=re.M)


def _folder(given: Any, plan: Plan, folder: Path | str | None) -> Path:
    if folder is not None:
        return Path(folder)
    if isinstance(given, Mapping):
        raise InputError(
            "folder: it is missing. A plan that is a dict does not say where the run is stored. Give "
            'folder="runs/first".'
        )
    return plan.origin.parent / "runs" / plan.origin.stem


def _writable(value: Any, place: str) -> Any:
    """A value as TOML has it: paths as texts, numbers of numpy as numbers, and nothing where there is None.

    Raises:
        PlanError: a value that TOML does not have, such as a model.
    """
    if isinstance(value, Mapping):
        return {str(key): _writable(one, f"{place}.{key}") for key, one in value.items() if one is not None}
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes)):
        value = value.tolist()  # numpy and torch
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_writable(one, f"{place}[{index}]") for index, one in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (str, bool, int, float)):
        return value
    raise PlanError(
        f"{place.removeprefix('the plan.')}: a plan cannot hold something of type {type(value).__name__}. Write what "
        "the plan file would say; a model in memory belongs to palpate.evaluate."
    )


def _say_failures(outcome: AuditOutcome) -> None:
    """Warn of attacks that could not run: figures without them are too good."""
    for finding in outcome.findings:
        if finding.level == "failure" and finding.subject in outcome.failed:
            warnings.warn(f"'{finding.subject}': {finding.text}", stacklevel=3)
