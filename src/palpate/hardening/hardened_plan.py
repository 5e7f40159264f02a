"""The user's plan with the trained model in place of the old one."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from palpate.audit.plan.plan import parse_plan
from palpate.hardening.weights import SavedModel

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


def document_of(plan: Plan) -> dict[str, Any]:
    """The plan's TOML as a table."""
    return tomllib.loads(plan.text)


def with_model(document: dict[str, Any], saved: SavedModel, root: Path) -> dict[str, Any]:
    """The document with the trained model and its operating point; paths stay relative to the plan's folder."""
    model = {key: value for key, value in document["model"].items() if key != "weights_entry"}
    model[saved.field] = Path(os.path.relpath(saved.path, root)).as_posix()
    task = document["task"] if saved.confidence is None else {**document["task"], "confidence": saved.confidence}
    return {**document, "model": model, "task": task}


def plan_text(document: dict[str, Any], comment: str) -> str:
    """A document as the text of a plan, with a comment above it."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return f"{lines}\n{tomli_w.dumps(document)}"


def hardened_plan(plan: Plan, saved: SavedModel) -> str:
    """The text of a plan that audits the trained model: the user's plan without `[harden]`."""
    document = with_model(document_of(plan), saved, plan.root)
    document.pop("harden", None)
    document["title"] = f"{plan.title}, after training against attacks"
    text = plan_text(document, f"Written by `palpate harden {plan.origin.name}`: the same audit of the trained model.")
    parse_plan(text, plan.origin)
    return text
