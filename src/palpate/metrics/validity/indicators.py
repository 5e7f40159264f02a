"""The signs that attacks failed, and for each of them what to change in the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sign = Literal["fired", "doubt"]

SILENT, INCOMPLETE, TRANSFER = "Silent success", "Incomplete optimisation", "Transfer failure"
UNCONSTRAINED, UNSTABLE, UNAVAILABLE = "Unconstrained failure", "Unstable predictions", "Unavailable gradients"
MISLEADING, FREE, WEAK = "Misleading gradients", "Gradient-free search wins", "Weak attacks win alone"
INDICATORS = (SILENT, INCOMPLETE, TRANSFER, UNCONSTRAINED, UNSTABLE, UNAVAILABLE, MISLEADING, FREE, WEAK)

OF_PROBE = {
    "more steps": INCOMPLETE,
    "more starts": INCOMPLETE,
    "noise and one step": WEAK,
    "blurred surrogate": TRANSFER,
    "estimated gradients": TRANSFER,
    "gradient-free search": FREE,
    "large radius": UNCONSTRAINED,
    "gradient check": MISLEADING,
}
"""The indicator of each probe."""
SEARCH = 'attack = "square" with queries = 5000'
STRONGEST = 'attack = "strongest"'
BEHIND = (
    "Climbs need gradients: name in model.factory the network behind a service, or for an ONNX file write "
    "model.onnx_gradients = true."
)
"""What a model that gives only outputs needs."""
FIXES = {
    SILENT: "Find the layer that overflows and let model.factory build the model without it; keep "
    'run.precision = "float32".',
    INCOMPLETE: f"Write {STRONGEST} in [[attacks]], or steps = 200 and restarts = 5 for the attacks that are there.",
    TRANSFER: f'The model\'s gradients mislead. Write {SEARCH} in [[attacks]], and attack = "transfer" with a model '
    "in [surrogate] that lacks the step which hides gradients (rounding, detached parts, ripples).",
    UNCONSTRAINED: "Add a budget of half the range of values to threat.eps, and "
    f"{SEARCH} to [[attacks]]: a climb that stops there has no gradient (saturated outputs, a detached branch).",
    UNSTABLE: "Write run.draws = 64 (16 by default), or fix the random numbers of the model.",
    UNAVAILABLE: f"Write {SEARCH} in [[attacks]], or name in model.factory a model without the step that blocks "
    f"gradients (rounding, argmax, detach). {BEHIND}",
    MISLEADING: f"Write {SEARCH} in [[attacks]], and name in model.factory a model without rounding, votes or "
    "detached parts.",
    FREE: f"Write {STRONGEST} and {SEARCH} in [[attacks]].",
    WEAK: f"The climbs lose to noise or to one step: write {STRONGEST} in [[attacks]], or steps = 200 for them.",
}
"""What to change in the plan, for each indicator: its field and the value."""
FIXES_OF_PROBE = {
    "more steps": f"Write {STRONGEST} in [[attacks]], or steps = 200 for the gradient attacks.",
    "more starts": f"Write {STRONGEST} in [[attacks]], or restarts = 5 for pgd or apgd-margin.",
}
"""What to change where one probe says it more exactly than its indicator."""


def advised(text: str, there: bool) -> str:
    """Advice to write `strongest`; if it is `there` already, to search longer instead."""
    return text.replace(f"{STRONGEST} and ", "").replace(STRONGEST, SEARCH) if there else text


@dataclass(frozen=True)
class Indicator:
    """One sign that attacks failed.

    Attributes:
        name: one of `INDICATORS`.
        sign: `fired`; or `doubt` if too few images show it.
        text: what was seen.
        fix: what to change in the plan.
    """

    name: str
    sign: Sign
    text: str
    fix: str
