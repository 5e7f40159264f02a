"""The user's plan with the trained model in place of the old one."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from palpate.audit.plan.plan import parse_plan
from palpate.hardening.weights import SavedModel
from palpate.storage.writing import write_atomically

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_SEALED = re.compile(
    rb"(?P<head>(?:#[^\n]*\n)+?)# sha256 of the lines below: (?P<digest>[0-9a-f]{64})\n(?P<rest>.*)", re.S
)


def document_of(plan: Plan) -> dict[str, Any]:
    """The plan's TOML as a table."""
    return tomllib.loads(plan.text)


def with_model(document: dict[str, Any], saved: SavedModel, root: Path) -> dict[str, Any]:
    """The document with the trained model and its operating point; paths stay relative to `root`, the plan's."""
    model = {key: value for key, value in document["model"].items() if key != "weights_entry"}
    model[saved.field] = _from(root, saved.path)
    task = document["task"] if saved.confidence is None else {**document["task"], "confidence": saved.confidence}
    return {**document, "model": model, "task": task}


def _from(folder: Path, path: Path) -> str:
    """A path as a plan in `folder` writes it; links are followed, because `..` leaves their target."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def plan_text(document: dict[str, Any], comment: str) -> str:
    """A document as the text of a plan, with a comment above it."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return f"{lines}\n{tomli_w.dumps(document)}"


def hardened_plan(plan: Plan, saved: SavedModel, place: Path) -> str:
    """The text of a plan in the folder `place` that audits the trained model: the user's plan without `[harden]`."""
    document = with_model(document_of(plan), saved, plan.root)
    document.pop("harden", None)
    document["title"] = f"{plan.title}, after training against attacks"
    if (place / plan.paths_from).resolve() != plan.root.resolve():
        document["paths_from"] = _from(place, plan.root)
    body = f"\n{tomli_w.dumps(document)}"
    text = (
        f"# Written by `palpate harden {plan.origin.name}`: the same audit of the trained model.\n"
        "# While this file is unchanged, the next training may replace it.\n"
        f"# sha256 of the lines below: {hashlib.sha256(body.encode()).hexdigest()}\n{body}"
    )
    parse_plan(text, place / plan.origin.name)
    return text


def write_hardened_plan(plan: Plan, saved: SavedModel, place: Path) -> tuple[Path, tuple[str, ...]]:
    """Write the plan of the trained model into `place`, never over a file that palpate did not write.

    `plan-hardened.toml` is replaced only while it is as palpate wrote it. Any other file of that name stays, and the
    new plan is called `plan-hardened-2.toml`, and so on.

    Returns:
        Its path, and the files that stayed, each in a sentence.
    """
    text, kept = hardened_plan(plan, saved, place).encode(), list[str]()
    for number in count(1):
        path = place / f"{plan.origin.stem}-hardened{'' if number == 1 else f'-{number}'}.toml"
        if _may_replace(path, text):
            write_atomically(path, text)
            return path, tuple(kept)
        kept.append(f"{path} was changed since palpate wrote it, so it is not replaced.")
    raise AssertionError  # `count` does not end


def _may_replace(path: Path, text: bytes) -> bool:
    """Whether there is nothing at `path`, or a file that is still as palpate wrote it."""
    if not os.path.lexists(path):
        return True
    if path.is_symlink() or not path.is_file():
        return False
    found = path.read_bytes()
    sealed = _SEALED.fullmatch(found)
    return found == text or (
        sealed is not None and hashlib.sha256(sealed["rest"]).hexdigest().encode() == sealed["digest"]
    )
