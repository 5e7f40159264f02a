"""Modules that moved: their old names still import, with a warning that names the new one.

Users' own files import some of them: the demo wrote `from palpate.models.demo_thorax import load` into its folders.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "palpate.audit.runner": "palpate.audit.run.runner",
    "palpate.data.images": "palpate.data.formats.images",
    "palpate.data.scan": "palpate.data.formats.scan",
    "palpate.inference": "palpate.victim.inference",
    "palpate.models.demo_endoscopy": "palpate.models.demo.endoscopy",
    "palpate.models.demo_thorax": "palpate.models.demo.thorax",
    "palpate.records": "palpate.storage.records",
    "palpate.runs": "palpate.storage.runs",
    "palpate.traces": "palpate.storage.traces",
    "palpate.tuning": "palpate.victim.tuning",
}
"""Old name -> new name, for every module that a page of the docs ever named."""


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
    """Let old names import. Asked last, so that nothing else becomes slower."""
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.append(_Finder())
