"""Pictures and exports of a finished run that are missing or damaged: found by their digests, and made again.

Adversarial images are not stored, so the shard that a file belongs to is attacked again; its records stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palpate.audit.subject.subject import Subject
from palpate.audit.work.shards import Shard
from palpate.storage import kept
from palpate.storage.runs import RunFolder

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_ALTERED = re.compile(r"(?:images|exports)/([0-9a-f]{16})-(\d+)-.+")
_CLEAN = re.compile(r"images/([0-9a-f]{16})-clean(.*)\.png")
_KINDS = ("clean", "adversarial", "perturbation")


def named(gallery: Sequence[Mapping[str, Any]], exports: Sequence[Mapping[str, Any]]) -> list[str]:
    """The files of the entries of the gallery and of the exports."""
    pictures = [one[kind] for entry in gallery for one in entry["slices"] for kind in _KINDS]
    return [*pictures, *(entry["file"] for entry in exports)]


def expected(before: Mapping[str, Any], plan: Plan) -> dict[str, str]:
    """The files that a continued run should still have, by name; exports only if the plan's `[export]` is unchanged."""
    files: dict[str, str] = before.get("files", {})
    if before.get("export") == plan.export.model_dump():
        return dict(files)
    return {name: value for name, value in files.items() if not name.startswith(kept.EXPORTS)}


def to_redo(run: RunFolder, subject: Subject, shards: Sequence[Shard], files: Mapping[str, str]) -> dict[str, Shard]:
    """The lost files of these shards, each with the shard that makes it again. Damaged files are removed."""
    owners = {shard.identity[:16]: shard for shard in shards}
    found = {}
    for name in kept.lost(run.path, files):
        shard = owners.get(_stem(name, subject, shards, files))
        if shard is not None:
            found[name] = shard
            # All attacks share the clean picture, and it is written only if it is missing.
            if (run.path / name).is_file() or (run.path / name).is_symlink():
                (run.path / name).unlink()
    return found


def _stem(name: str, subject: Subject, shards: Sequence[Shard], files: Iterable[str]) -> str:
    """The first letters of the identity of the shard that writes a file; empty if none of these shards does."""
    if (altered := _ALTERED.fullmatch(name)) and "-clean" not in name:
        return altered[1]
    if (clean := _CLEAN.fullmatch(name)) is None:
        return ""
    rows = {row for shard in shards for row in shard.rows if subject.table.fingerprint([row])[:16] == clean[1]}
    wanted = re.compile(rf"images/([0-9a-f]{{16}})-(\d+)-adversarial{re.escape(clean[2])}\.png")
    adversarial = [match for match in map(wanted.fullmatch, files) if match and int(match[2]) in rows]
    known = {shard.identity[:16] for shard in shards}
    return next((match[1] for match in adversarial if match[1] in known), "")
