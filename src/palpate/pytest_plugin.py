"""The pytest plug-in of palpate: a fixture that carries out a plan. Nothing heavy is imported before it is used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from palpate.api.run import Run


class _GatesFailedError(AssertionError):
    """Shown as its text alone."""


@pytest.fixture(scope="session")
def palpate_audit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Carry out a plan and return its run; the test fails if a gate of the plan does.

        def test_robust(palpate_audit):
            run = palpate_audit("plan.toml")
            assert run.robust_accuracy(eps="1/255") >= 0.5

    The run folder is in the cache of pytest, so that the next session continues it, or only reads it if nothing
    changed; without that cache it is temporary.

    Args of the fixture:
        plan: a TOML file, from pytest's root folder or absolute; or a dict as in `palpate.audit`.
        folder: another run folder.
        gates: fail if a gate of the plan fails; otherwise look at `run.gates`.
        settings: other arguments of `palpate.audit`.
    """
    root, cache = request.config.rootpath, getattr(request.config, "cache", None)

    def carry_out(plan: Any, folder: Path | str | None = None, *, gates: bool = True, **settings: Any) -> Run:
        from palpate.api.auditing import audit
        from palpate.errors import PalpateError

        __tracebackhide__ = True
        given, name = plan, "plan"
        if isinstance(plan, (str, Path)):
            given = root / plan
            name = given.stem
        else:
            settings.setdefault("root", root)
        if folder is None:
            base = tmp_path_factory.mktemp("palpate") if cache is None else cache.mkdir("palpate")
            folder = base / _folder_name(name, given)
        try:
            run = audit(given, folder, **{"update": True, **settings})
        except PalpateError as error:
            pytest.fail(str(error), pytrace=False)
        if gates:
            _require_gates(run)
        return run

    return carry_out


def _folder_name(name: str, given: Any) -> str:
    """One folder for each plan, and for each process of pytest-xdist: two audits cannot share a folder."""
    what = str(given) if isinstance(given, Path) else repr(given)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return "-".join(filter(None, (name, hashlib.sha256(what.encode()).hexdigest()[:8], worker)))


def _require_gates(run: Run) -> None:
    from palpate.api.run import failed_gates

    __tracebackhide__ = True
    if failed := failed_gates(run.gates):
        listed = "".join(f"\n  {line}" for line in failed)
        many = "A gate" if len(failed) == 1 else f"{len(failed)} gates"
        raise _GatesFailedError(f"{many} of the plan failed.{listed}\nThe report: {run.report}")
    if run.status != "finished":
        raise _GatesFailedError(f"The audit is not finished: an attack could not run. The report: {run.report}")
