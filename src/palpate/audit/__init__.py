"""Audits: a plan, how it is carried out and resumed, and one record per image, attack and budget.

The package can be called: `palpate.audit("plan.toml")` is `palpate.api.auditing.audit`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """`palpate.audit` is a package, and what a user calls."""

    def __call__(self, *given: Any, **settings: Any) -> Any:
        """See `palpate.api.auditing.audit`."""
        return import_module("palpate.api.auditing").audit(*given, **settings)


sys.modules[__name__].__class__ = _Callable
