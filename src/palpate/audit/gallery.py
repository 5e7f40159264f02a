"""Pictures for the report: the image as stored, the adversarial image, and the change made visible.

They are written before the shard that they belong to, so that a stored shard always has its pictures, and are found
again from the records alone. Their names hold no more of an image than its position in the table.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from palpate.audit.items import Item
from palpate.audit.shards import Found, Shard
from palpate.audit.subject import Subject
from palpate.records import Record
from palpate.runs import Frame, RunFolder, write_atomically

PER_ATTACK = 6
"""Images that are shown for each attack."""

_SYNTHETIC = "Synthetic: an image altered by palpate to test a model. It shows no patient's finding; not for diagnosis."
_COPY = "A copy for display of the image as stored, made by palpate beside altered ones; not for diagnosis."
_FACTORS = (1, 2, 5)
_OURS = re.compile(r"[0-9a-f]{16}-(clean|\d+-(adversarial|change))\.png")


@dataclass(frozen=True)
class Picture:
    """One entry of the gallery; paths are relative to the run folder, `image` may identify a patient."""

    attack: str
    eps: float
    row: int
    image: str
    label: int
    clean_prediction: int
    prediction: int
    clean: str
    adversarial: str
    perturbation: str
    amplification: float


def pick(subject: Subject, item: Item, outputs: Tensor) -> frozenset[int]:
    """Rows to show for an attack: some that it can attack, from all classes in turn.

    Args:
        subject: the audited images.
        item: the attack.
        outputs: the model's outputs for all clean images (N, width).
    """
    rows = range(len(subject.table))
    labels = subject.labels(rows).to(outputs.device)
    eligible = item.task.eligible(labels) & (item.task.margin(outputs, labels) > 0)
    return frozenset(subject.spread([row for row in rows if bool(eligible[row])], PER_ATTACK))


def draw(run: RunFolder, subject: Subject, shard: Shard, found: Found) -> None:
    """Write the three pictures of one image.

    Raises:
        StorageError: the disk is full or refuses.
    """
    record, bounds = shown_record(found.records), subject.victim.bounds
    clean = subject.images([record.row])[0]
    factor = amplification(record.linf, bounds)
    amplified = (found.shown - clean) * factor + (bounds[0] + bounds[1]) / 2
    pictures = (
        png(clean, bounds, _COPY),
        png(found.shown, bounds, _SYNTHETIC),
        png(amplified, bounds, f"{_SYNTHETIC} The change alone, times {factor:g}, around grey."),
    )
    for name, data in zip(_names(subject, shard, record.row), pictures, strict=True):
        # The clean image serves all attacks; its name says what it holds.
        if data is not pictures[0] or not (run.images / name).is_file():
            write_atomically(run.images / name, data)


def shown_record(records: Sequence[Record]) -> Record:
    """The record of the image that goes on show: the smallest budget that won, else the largest."""
    return next((record for record in records if record.success), records[-1])


def amplification(linf: float, bounds: tuple[float, float]) -> float:
    """How often the change is multiplied: as much as fits around grey, rounded down to 1, 2 or 5 and zeros."""
    room = (bounds[1] - bounds[0]) / 2
    if not linf > 0 or linf >= room:
        return 1.0
    power = math.floor(math.log10(room / linf))
    return max(step * 10.0**power for step in _FACTORS if step * 10.0**power <= room / linf)


def gallery(run: RunFolder, subject: Subject, shards: Sequence[Shard], frame: Frame) -> list[dict[str, Any]]:
    """The entries of all pictures that are there, in the order of the records."""
    there = {path.name for path in run.images.glob("*.png")}
    names: dict[tuple[str, int], tuple[str, str, str]] = {}
    for shard in shards:
        for row in shard.rows:
            found = _names(subject, shard, row)
            if there.issuperset(found):
                names[shard.item.identity, row] = found
    entries: dict[tuple[str, int], Picture] = {}
    won: set[tuple[str, int]] = set()
    for place in range(len(frame["row"])):
        key = (str(frame["item"][place]), int(frame["row"][place]))
        # Records rise in eps: the first success stays, and without one the last record does.
        if key in names and key not in won:
            entries[key] = _picture(frame, place, names[key], subject.victim.bounds)
            won |= {key} if frame["success"][place] else set()
    return [asdict(entry) for entry in entries.values()]


def prune(run: RunFolder, entries: Sequence[dict[str, Any]]) -> None:
    """Remove pictures of earlier plans, which no entry names any more."""
    kept = {Path(entry[kind]).name for entry in entries for kind in ("clean", "adversarial", "perturbation")}
    for path in run.images.glob("*.png"):
        if _OURS.fullmatch(path.name) and path.name not in kept:
            path.unlink(missing_ok=True)


def _picture(frame: Frame, place: int, names: Sequence[str], bounds: tuple[float, float]) -> Picture:
    clean, adversarial, perturbation = (f"images/{name}" for name in names)
    return Picture(
        attack=str(frame["attack"][place]),
        eps=float(frame["eps"][place]),
        row=int(frame["row"][place]),
        image=str(frame["image"][place]),
        label=int(frame["label"][place]),
        clean_prediction=int(frame["clean_prediction"][place]),
        prediction=int(frame["prediction"][place]),
        clean=clean,
        adversarial=adversarial,
        perturbation=perturbation,
        amplification=amplification(float(frame["linf"][place]), bounds),
    )


def _names(subject: Subject, shard: Shard, row: int) -> tuple[str, str, str]:
    stem = f"{shard.identity[:16]}-{row}"
    return f"{subject.table.fingerprint([row])[:16]}-clean.png", f"{stem}-adversarial.png", f"{stem}-change.png"


def png(image: Tensor, bounds: tuple[float, float], text: str) -> bytes:
    """A PNG of 8 bit: stored values (C, H, W) rounded, or scaled from `bounds` where they are not those of 8 bit."""
    low, high = bounds
    values: npt.NDArray[np.float64] = image.detach().cpu().double().numpy()
    scaled = values if (low, high) == (0.0, 255.0) else (values - low) / (high - low) * 255
    pixels = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) != 3 else pixels.transpose(1, 2, 0))
    note = PngInfo()
    note.add_text("Description", text)
    note.add_text("Software", "palpate")
    sink = io.BytesIO()
    picture.save(sink, "PNG", pnginfo=note)
    return sink.getvalue()
