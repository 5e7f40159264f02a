"""palpate tests how robust a medical-image model is, repairs it, and proves the repair.

    import palpate
    result = palpate.attack(module, images, labels, "smia", eps=2/255)

Importing this package is cheap: what needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from palpate._moved import install as _install_moved
from palpate._moved import renamed as _renamed

__version__ = "0.1.0"

_install_moved()

_HOMES = {
    "Ascent": "palpate.attacks.ascent",
    "AttackResult": "palpate.contracts",
    "Chain": "palpate.preprocess",
    "Classification": "palpate.tasks.classification",
    "Confined": "palpate.threats.confined",
    "Defence": "palpate.victim",
    "InputError": "palpate.errors",
    "L1": "palpate.threats.ball",
    "L2": "palpate.threats.ball",
    "Limits": "palpate.contracts",
    "Linf": "palpate.threats.ball",
    "MonaiChain": "palpate.preprocess",
    "Note": "palpate.data.formats.scan",
    "PalpateError": "palpate.errors",
    "Pass": "palpate.victim",
    "Preprocess": "palpate.preprocess",
    "RobustScore": "palpate.api.score",
    "RobustnessCallback": "palpate.api.lightning",
    "Run": "palpate.api.run",
    "Scale": "palpate.units",
    "Scan": "palpate.data.formats.scan",
    "Streams": "palpate.streams",
    "Table": "palpate.api.table",
    "Trace": "palpate.stability",
    "Tuning": "palpate.victim",
    "Victim": "palpate.victim",
    "attack": "palpate.api.attacking",
    "compare": "palpate.report.page.comparing",
    "certify": "palpate.api.certifying",
    "curve": "palpate.attacks.curve",
    "evaluate": "palpate.api.evaluating",
    "harden": "palpate.api.hardening",
    "load_run": "palpate.api.run",
    "parse_post_processing": "palpate.postprocessing:parse",
    "read_scan": "palpate.data.formats.registry",
    "trace_attack": "palpate.stability:trace",
    "write_copy": "palpate.data.formats.registry",
}

__all__ = [
    "AttackResult",
    "Ascent",
    "Chain",
    "Classification",
    "Confined",
    "Defence",
    "InputError",
    "L1",
    "L2",
    "Limits",
    "Linf",
    "MonaiChain",
    "Note",
    "PalpateError",
    "Pass",
    "Preprocess",
    "RobustScore",
    "RobustnessCallback",
    "Run",
    "Scale",
    "Scan",
    "Streams",
    "Table",
    "Trace",
    "Tuning",
    "Victim",
    "__version__",
    "attack",
    "audit",
    "compare",
    "certify",
    "curve",
    "evaluate",
    "harden",
    "load_run",
    "parse_post_processing",
    "read_scan",
    "trace_attack",
    "write_copy",
]

if TYPE_CHECKING:
    from palpate.api.attacking import attack
    from palpate.api.auditing import audit
    from palpate.api.certifying import certify
    from palpate.api.evaluating import evaluate
    from palpate.api.hardening import harden
    from palpate.api.lightning import RobustnessCallback
    from palpate.api.run import Run, load_run
    from palpate.api.score import RobustScore
    from palpate.api.table import Table
    from palpate.attacks.ascent import Ascent
    from palpate.attacks.curve import curve
    from palpate.contracts import AttackResult, Limits
    from palpate.data.formats.registry import read_scan, write_copy
    from palpate.data.formats.scan import Note, Scan
    from palpate.errors import InputError, PalpateError
    from palpate.postprocessing import parse as parse_post_processing
    from palpate.preprocess import Chain, MonaiChain, Preprocess
    from palpate.report.page.comparing import compare
    from palpate.stability import Trace
    from palpate.stability import trace as trace_attack
    from palpate.streams import Streams
    from palpate.tasks.classification import Classification
    from palpate.threats.ball import L1, L2, Linf
    from palpate.threats.confined import Confined
    from palpate.units import Scale
    from palpate.victim import Defence, Pass, Tuning, Victim


_old_name = _renamed(__name__)


def __getattr__(name: str) -> Any:
    if name in ("artefacts", "audit", "defences"):  # `palpate.artefacts.apply` in a notebook; `audit` can be called
        return import_module(f"palpate.{name}")
    if name in _HOMES:
        home, _, inside = _HOMES[name].partition(":")
        return getattr(import_module(home), inside or name)
    return _old_name(name)


def __dir__() -> list[str]:
    return sorted(__all__)
