"""The plan of the proof: the user's own audit, with attacks that are stronger than those trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.plan.tasks import family
from palpate.hardening.hardened_plan import document_of, plan_text, with_model
from palpate.hardening.weights import SavedModel
from palpate.models.nnunet.folder import read_trained

if TYPE_CHECKING:
    from collections.abc import Sequence

Extent = Literal["full", "short"]

FARTHER = {"full": (1.0, 2.0, 4.0), "short": (1.0, 4.0)}
"""Budgets of the proof, in budgets of the training."""
FEW = 24
"""Images of a short proof."""
STEPS, QUERIES = 20, 100
"""Steps of the climb, and queries of the search without gradients, of a short proof."""
_NOT_PROVEN = ("harden", "gates", "export", "reference")
_LEFT_OUT = ("artefacts", "survival", "stability", "quality")
"""What a short proof leaves out, and a full one keeps."""


def proof_plan(plan: Plan, eps: float, extent: Extent, saved: SavedModel | None = None) -> Plan:
    """The user's plan with the budgets 1, 2 and 4 times that of the training, and with stronger attacks.

    `strongest` and `square` are added where they are missing, and `vafa` for volumes. A short proof has one climb and
    one search without gradients instead, at 1 and 4 times the budget, on at most 24 images, no artefacts, and nothing
    about files.

    Args:
        plan: the user's plan, with budgets in values.
        eps: budget of the training in stored values.
        extent: how much of the user's plan is kept.
        saved: the trained model; None: the model as it is in the plan.
    """
    document = document_of(plan)
    if saved is not None:
        document = with_model(document, saved, plan.root)
    dropped = _NOT_PROVEN if extent == "full" else (*_NOT_PROVEN, *_LEFT_OUT)
    document = {key: value for key, value in document.items() if key not in dropped}
    kept = document["attacks"] if extent == "full" else []
    document["attacks"] = [*kept, *_stronger(plan, [entry["attack"] for entry in kept], extent)]
    if "transfer" not in [entry["attack"] for entry in document["attacks"]]:
        document.pop("surrogate", None)
    own: Sequence[Any] = document["threat"]["eps"] if extent == "full" else []
    # The report and the comparison speak of the budget that was trained against.
    known = next((radius for radius in plan.radii if own and abs(radius - eps) <= 1e-9 * radius), eps)
    document["threat"] = {**document["threat"], "eps": [*own, *_farther(plan, eps, extent)], "main": known}
    if extent == "short":
        document |= {"quality": {"images": 0}, "stability": {"images": 0}, "survival": {"saved": False, "after": []}}
    if (most := _most(plan, extent)) is not None:
        document["data"] = {**document["data"], "limit": min(most, document["data"].get("limit", most))}
    which = "before" if saved is None else "after"
    document["title"] = f"{plan.title}, {which} training against attacks"
    text = plan_text(document, f"Written by `palpate harden`: the audit {which} the training.")
    return parse_plan(text, plan.origin, plan.root)


def _most(plan: Plan, extent: Extent) -> int | None:
    wanted = None if plan.harden is None else plan.harden.proof_limit
    return min(FEW, wanted or FEW) if extent == "short" else wanted


def _stronger(plan: Plan, present: Sequence[str], extent: Extent) -> list[dict[str, Any]]:
    # They decide which images are beaten, so they may stop there; the plan's own attacks say how far the score falls.
    if extent == "short":
        return [
            {"attack": "apgd-margin", "curve": "rising", "steps": STEPS},
            {"attack": "square", "curve": "rising", "queries": QUERIES},
        ]
    wanted = {"strongest": "rising", "square": "rising"}
    if family(plan.task) == "segmentation" and plan.threat.norm == "linf" and _volumes(plan):
        wanted["vafa"] = plan.curve
    return [{"attack": name, "curve": curve} for name, curve in wanted.items() if name not in present]


def _volumes(plan: Plan) -> bool:
    model, size = plan.model, plan.model.inferer.size
    if model.nnunet is not None:
        return read_trained(plan.root / model.nnunet, model.folds, model.checkpoint).reader == "scanner"
    return (size is not None and len(size) == 3) or len(plan.data.spacing or ()) == 3


def _farther(plan: Plan, eps: float, extent: Extent) -> list[float]:
    low, high = plan.model.bounds
    known = plan.radii if extent == "full" else ()
    wanted = [eps * times for times in FARTHER[extent]]
    if plan.threat.norm == "linf":
        wanted = [value for value in wanted if value <= high - low]
    return [value for value in wanted if all(abs(value - radius) > 1e-9 * radius for radius in known)]
