"""Which attacked images a run folder holds: files in the format of the original, and pictures of its gallery."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from palpate.errors import StorageError
from palpate.report.model.description import Description
from palpate.report.model.shown import PictureDescription, SliceDescription
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder
from palpate.view.columns import Array

FILE, PICTURE, NONE = "whole image", "pictures", "not kept"
"""Words of the column that says what is kept."""
_EXPORT = re.compile(r"([0-9a-f]{16})-(\d{1,9})-(\d{1,6})(\..+)?")
_SHOWN = re.compile(r"([0-9a-f]{16})-(\d{1,9})-adversarial(-\d+-\d+)?\.png")
Key = tuple[str, float, int]
"""Attack, budget, row."""


@dataclass(frozen=True)
class Pictured:
    """The pictures of one attacked image.

    Attributes:
        slices: its planes; one in 2D.
        window: stored values that are shown black and white; None: the bounds.
        factor: how many times the picture of the change shows it; None: it is not known.
    """

    slices: list[SliceDescription]
    window: tuple[float, float] | None
    factor: float | None

    @classmethod
    def of(cls, one: PictureDescription) -> Pictured:
        """From an entry of the gallery."""
        alone = SliceDescription(clean=one.clean, adversarial=one.adversarial, perturbation=one.perturbation)
        return cls(list(one.slices) or [alone], one.window, one.amplification)


@dataclass(frozen=True)
class Kept:
    """What is kept, by attack, budget and row; paths are relative to the run folder."""

    files: dict[Key, str] = field(default_factory=dict)
    pictures: dict[Key, Pictured] = field(default_factory=dict)

    def places(self, frame: Frame) -> list[tuple[str | None, Pictured | None]]:
        """Of each record the file and the pictures of its attacked image.

        Where a record has none, those of a record with the same image count: an image that falls at a budget is kept
        for larger ones too.
        """
        keys = list(zip(frame["attack"], frame["eps"].tolist(), frame["row"].tolist(), strict=True))
        change = list(zip(frame["linf"].tolist(), frame["l2"].tolist(), frame["l1"].tolist(), strict=True))
        same: dict[tuple[Any, ...], Key] = {}
        for key, sizes in zip(keys, change, strict=True):
            if (key in self.files or key in self.pictures) and sizes[1] > 0:
                same.setdefault((key[0], key[2], *sizes), key)
        found = []
        for key, sizes in zip(keys, change, strict=True):
            whose = key if key in self.files or key in self.pictures else same.get((key[0], key[2], *sizes), key)
            found.append((self.files.get(whose), self.pictures.get(whose)))
        return found


def kept(run: RunFolder, description: Description) -> Kept:
    """What `run.json` lists; of an unfinished run, which lists it at its end, what lies in the folder."""
    if description.status == "unfinished" and not (description.exports or description.gallery):
        return _in_folder(run)
    return Kept(
        {(one.attack, one.eps, one.row): one.file for one in description.exports},
        {(one.attack, one.eps, one.row): Pictured.of(one) for one in description.gallery},
    )


def words(places: list[tuple[str | None, Pictured | None]]) -> Array:
    """Of each record what is kept, in words."""
    said = [FILE if file else PICTURE if pictures else NONE for file, pictures in places]
    return np.array(said, dtype=object)


def _in_folder(run: RunFolder) -> Kept:
    exports, shown = _named(run.path / "exports", _EXPORT), _named(run.images, _SHOWN)
    identities = {one[:16]: one for one in run.describe().get("shards", []) if isinstance(one, str)}
    files: dict[Key, str] = {}
    pictures: dict[Key, Pictured] = {}
    for short in {*exports, *shown} & {*identities}:
        if not run.has(identities[short]):
            continue
        with suppress(StorageError):
            keys = _keys(run, identities[short])
            for path, row, place in exports.get(short, []):
                if row in keys and int(place) < len(keys[row]):
                    files[keys[row][int(place)][0]] = f"exports/{path.name}"
            for path, row, _ in shown.get(short, []):
                # The gallery shows the first budget at which the image fell, or the last one.
                if row in keys and (plane := _plane(path)) is not None:
                    key = next((key for key, success in keys[row] if success), keys[row][-1][0])
                    was = pictures.get(key, Pictured([], plane[1], None))
                    pictures[key] = Pictured(
                        sorted([*was.slices, plane[0]], key=lambda one: one.index), was.window, None
                    )
    return Kept(files, pictures)


def _named(folder: Path, pattern: re.Pattern[str]) -> dict[str, list[tuple[Path, int, str]]]:
    """Files by the first letters of the identity of their shard, with the row and the rest of the name."""
    found: dict[str, list[tuple[Path, int, str]]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (name := pattern.fullmatch(path.name)) is not None:
            found.setdefault(name[1], []).append((path, int(name[2]), name[3] or ""))
    return found


def _keys(run: RunFolder, identity: str) -> dict[int, list[tuple[Key, bool]]]:
    """The records of each row of a shard, in the order of budgets."""
    table = run.read_shard(identity).select(["attack", "eps", "row", "success"]).to_pylist()
    found: dict[int, list[tuple[Key, bool]]] = {}
    for one in sorted(table, key=lambda one: float(one["eps"])):
        key = (str(one["attack"]), float(one["eps"]), int(one["row"]))
        found.setdefault(key[2], []).append((key, bool(one["success"])))
    return found


def _plane(path: Path) -> tuple[SliceDescription, tuple[float, float] | None] | None:
    """A picture's plane with its marks, from the note in the file; None if it cannot be read."""
    names = {
        "clean": "",
        "adversarial": f"images/{path.name}",
        "perturbation": f"images/{path.name.replace('-adversarial', '-change')}",
    }
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            note = dict(json.loads(picture.info["palpate"]))
        window = note.pop("window", None)
        plane = SliceDescription.model_validate({**note, **names})
        return plane, None if window is None else (float(window[0]), float(window[1]))
    except (OSError, KeyError, IndexError, ValueError, TypeError, RecursionError):
        return None
