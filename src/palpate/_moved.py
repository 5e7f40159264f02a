"""Modules that moved and parts that were renamed: old names still work, with a warning that names the new one.

Users' own files import some of them: the demo wrote `from palpate.models.demo_thorax import load` into its folders.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "palpate.api_certify": "palpate.api.certifying",
    "palpate.api_harden": "palpate.api.hardening",
    "palpate.api_inputs": "palpate.api.inputs",
    "palpate.attacks.ledger": "palpate.attacks.best_so_far",
    "palpate.attacks.routes": "palpate.attacks.transforms",
    "palpate.audit.runner": "palpate.audit.run.runner",
    "palpate.checks.worlds": "palpate.checks.scenarios",
    "palpate.data.images": "palpate.data.formats.images",
    "palpate.data.scan": "palpate.data.formats.scan",
    "palpate.handling": "palpate.postprocessing",
    "palpate.handling.base": "palpate.postprocessing.base",
    "palpate.handling.codecs": "palpate.postprocessing.codecs",
    "palpate.handling.export": "palpate.postprocessing.export",
    "palpate.handling.grids": "palpate.postprocessing.grids",
    "palpate.handling.names": "palpate.postprocessing.names",
    "palpate.inference": "palpate.victim.inference",
    "palpate.models.demo_endoscopy": "palpate.models.demo.endoscopy",
    "palpate.models.demo_thorax": "palpate.models.demo.thorax",
    "palpate.records": "palpate.storage.records",
    "palpate.runs": "palpate.storage.runs",
    "palpate.traces": "palpate.storage.traces",
    "palpate.tuning": "palpate.victim.tuning",
}
"""Old name -> new name, for every module that a page of the docs ever named."""

RENAMED = {
    "palpate": {"parse_handling": "parse_post_processing"},
    "palpate.attacks.best_so_far": {"Ledger": "BestSoFar"},
    "palpate.attacks.transforms": {
        "Route": "TransformedModel",
        "Way": "Transform",
        "routes": "transformed_models",
    },
    "palpate.checks.scenarios": {"WORLDS": "SCENARIOS", "World": "Scenario"},
    "palpate.contracts": {"Moment": "StepEvent", "Point": "ObjectiveInputs"},
    "palpate.postprocessing": {"Handling": "PostProcessing"},
    "palpate.postprocessing.base": {"Handling": "PostProcessing"},
    "palpate.tasks.goals": {"Goal": "ClassGoal"},
    "palpate.tasks.masks.goals": {"Goal": "MaskGoal"},
    "palpate.tasks.multilabel_goals": {"Goal": "FindingGoal"},
}
"""Module -> old name -> new name, for what users could import. Each module calls `renamed` with its own name."""


def renamed(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module some of whose names changed: the old name gives the new part, with a warning."""

    def find(name: str) -> Any:
        new = RENAMED[module].get(name)
        if new is None:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        warnings.warn(
            f"{module}.{name} is now {new}. The old name goes away in palpate 1.0.", DeprecationWarning, stacklevel=2
        )
        return getattr(sys.modules[module], new)

    return find


class _Alias(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} is now {new}. The old name goes away in palpate 1.0.", DeprecationWarning, stacklevel=2
        )
        module = import_module(new)
        self._own = (module.__spec__, module.__loader__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the module ran under its new name. What the import system noted of the alias is undone."""
        module.__spec__, module.__loader__ = self._own


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Alias()) if fullname in MOVED else None


def install() -> None:
    """Let old names import. Asked first: else a module below a moved package would be loaded a second time."""
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
