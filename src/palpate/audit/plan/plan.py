"""A plan: the validated description of an audit, read from TOML. Its tables are in `sections`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from palpate.audit.plan.certificates import certificate_items
from palpate.audit.plan.checks.certificates import certified_gate
from palpate.audit.plan.checks.fields import problems, wrong_budget
from palpate.audit.plan.checks.run import run_problems
from palpate.audit.plan.copies import require_found, root_of, run_of
from palpate.audit.plan.errors import not_toml, refused
from palpate.audit.plan.fields import PlanFields
from palpate.audit.plan.lines import require_filled_in
from palpate.audit.plan.sections.gates import CERTIFIED
from palpate.audit.plan.sections.harden import HardenSection
from palpate.audit.plan.sections.run import Order
from palpate.data.texts import decoded, long_key, read_bytes, too_deep
from palpate.errors import InputError, PlanError
from palpate.units import Scale, radius


class Plan(PlanFields):
    """The whole plan. A value: frozen, comparable, checked against itself and against the catalog of attacks."""

    _origin: Path = PrivateAttr(Path("plan.toml"))
    _text: str = PrivateAttr("")
    _root: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        if found := problems(self):
            raise PydanticCustomError("plan", "the plan contradicts itself", {"problems": found})
        return self

    @property
    def origin(self) -> Path:
        """The file that it was read from."""
        return self._origin

    @property
    def text(self) -> str:
        """The TOML that it was read from."""
        return self._text

    @property
    def root(self) -> Path:
        """The folder that its paths are relative to."""
        return self._origin.parent / self.paths_from if self._root is None else self._root

    def training(self) -> HardenSection:
        """Its table `[harden]`.

        Raises:
            PlanError: it has none.
        """
        if self.harden is None:
            raise PlanError(
                f"{self.origin}: it has no [harden] table. Add one that says where the training images are, for "
                'example with data = {where = {split = "train"}}.'
            )
        return self.harden

    def on(self, engine: str | None, workers: int | None) -> Plan:
        """The plan, carried out by another engine or with another number of workers; None keeps its own.

        Raises:
            PlanError: the engine has no workers.
        """
        changes: dict[str, Any] = {}
        if engine not in (None, self.run.engine):
            changes = {"engine": engine, "workers": None, "address": None, "gpus": 0.0}
        if workers is not None:
            changes["workers"] = workers
        section = self.run.model_copy(update=changes)
        for key, text in run_problems(section):
            raise PlanError(f"{self.origin}: {'.'.join(map(str, key))}: {text}")
        return self.model_copy(update={"run": section})

    def begun_as(self, stored: str | None) -> Plan:
        """The plan as a run continues it whose budgets were attacked in the `stored` order; None: it is not known.

        Before `bisect` became a default, a plan that names no order was carried out in `rising` order. Its records
        stay, and the others follow in the same order.
        """
        if self.run.curve is not None or self.curve != "bisect" or stored not in (None, "", "rising"):
            return self
        return self.in_order("rising")

    def in_order(self, curve: Order | None) -> Plan:
        """The plan with `run.curve` replaced."""
        return self.model_copy(update={"run": self.run.model_copy(update={"curve": curve})})

    def calibrated(self, scale: Scale) -> Plan:
        """The plan with its budgets in the values of the images.

        Raises:
            PlanError: a budget is in a unit that the images do not have, or a gate has a budget that the threat lacks.
        """
        for written in self.threat.eps:
            try:
                radius(written, scale)
            except ValueError as error:
                raise PlanError(f"{self.origin}: threat.eps: {error}.") from error
        plan = self.model_copy()
        plan._scale = scale
        try:
            certificate_items(plan)
        except (ValueError, InputError) as error:
            raise PlanError(f"{self.origin}: certificates: {error}".rstrip(".") + ".") from error
        if (wrong := wrong_budget(plan, plan.threat.main)) is not None:
            raise PlanError(f"{self.origin}: threat.main: {wrong}")
        for place, gate in enumerate(plan.gates):
            if (wrong := wrong_budget(plan, gate.eps)) is not None:
                raise PlanError(f"{self.origin}: gates[{place}].eps: {wrong}")
            if gate.metric in CERTIFIED and (wrongs := list(certified_gate(plan, gate))):
                raise PlanError(f"{self.origin}: gates[{place}].{wrongs[0][0]}: {wrongs[0][1]}")
        return plan


def load_plan(path: Path, root: Path | None = None) -> Plan:
    """The plan in a TOML file.

    Args:
        path: the file; also the copy of a plan in a run folder.
        root: the folder that its paths start from, instead of its own folder and `paths_from`.

    Raises:
        PlanError: it cannot be read, is not TOML, has lines marked FILL IN, or fields that are unknown, missing or
            impossible; every one is named with its line and the fix.
    """
    try:
        if not path.exists():
            raise PlanError(f"{path} does not exist. `palpate init` writes a plan to start from.")
        # Some editors put a mark in front of UTF-8, which TOML does not allow. Line ends stay unchanged.
        text = decoded(path, read_bytes(path, "TOML"), "TOML")
    except PlanError:
        raise
    except InputError as error:
        raise PlanError(str(error)) from error
    document = _document(text, path)
    require_filled_in(text, path)
    plan = _validated(document, text, path)
    if root is None and run_of(path) is not None:
        plan._root = root_of(path, plan.paths_from)
        require_found(path, plan.root, plan.data)
    elif root is not None and not root.is_dir():
        raise PlanError(f"--root: {root} is not a folder. Give the folder that the paths of {path} start from.")
    elif root is not None:
        plan._root = root
    if not plan.root.is_dir():
        raise PlanError(f"{path}: paths_from: '{plan.paths_from}' is not a folder. Correct it, or remove it.")
    return plan


def parse_plan(text: str, origin: Path, root: Path | None = None) -> Plan:
    """The plan in a TOML text; `origin` is its file, whose folder its paths are relative to, or `root` instead.

    Lines marked FILL IN are allowed: `palpate init` writes them, and only a plan that is carried out may not have any.

    Raises:
        PlanError: as `load_plan`.
    """
    plan = _validated(_document(text, origin), text, origin)
    plan._root = root
    return plan


def _document(text: str, origin: Path) -> dict[str, Any]:
    if too_deep(text.encode(errors="replace")) or long_key(text):
        raise PlanError(f"{origin} is nested too deeply to be a plan. Give the right file.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise not_toml(origin, text, error) from error
    except ValueError as error:  # a number of thousands of digits
        raise PlanError(f"{origin} is not TOML: {error}. Correct it.") from error


def _validated(document: dict[str, Any], text: str, origin: Path) -> Plan:
    try:
        plan = Plan.model_validate(_tuples(document))
    except ValidationError as error:
        raise refused(origin, text, Plan, error) from error
    plan._origin, plan._text = origin, text
    return plan


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
