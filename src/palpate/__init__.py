"""palpate presses on a medical-image model and shows where it gives.

    import palpate
    result = palpate.attack(module, images, labels, "smia", eps=2/255)

Importing this package is cheap: what needs torch is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "attack": "palpate.api",
    "curve": "palpate.attacks.curve",
    "Ascent": "palpate.attacks.ascent",
    "AttackResult": "palpate.contracts",
    "Classification": "palpate.tasks.classification",
    "L1": "palpate.threats.ball",
    "L2": "palpate.threats.ball",
    "Linf": "palpate.threats.ball",
    "PalpateError": "palpate.errors",
    "InputError": "palpate.errors",
    "Preprocess": "palpate.preprocess",
    "Streams": "palpate.streams",
    "Tuning": "palpate.victim",
    "Victim": "palpate.victim",
}

__all__ = [
    "AttackResult",
    "Ascent",
    "Classification",
    "InputError",
    "L1",
    "L2",
    "Linf",
    "PalpateError",
    "Preprocess",
    "Streams",
    "Tuning",
    "Victim",
    "__version__",
    "attack",
    "curve",
]

if TYPE_CHECKING:
    from palpate.api import attack
    from palpate.attacks.ascent import Ascent
    from palpate.attacks.curve import curve
    from palpate.contracts import AttackResult
    from palpate.errors import InputError, PalpateError
    from palpate.preprocess import Preprocess
    from palpate.streams import Streams
    from palpate.tasks.classification import Classification
    from palpate.threats.ball import L1, L2, Linf
    from palpate.victim import Tuning, Victim


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'palpate' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
