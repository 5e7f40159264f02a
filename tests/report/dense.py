"""Believable runs of masks, volumes, boxes and findings without a model: every image has a dose at which it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from palpate.audit.work.marks import outlines
from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically
from tests.report.world import HOSTILE, Patients, _png, describe

EPS = (1.0, 2.0, 4.0, 8.0)
STRENGTH = {"noise": 0.04, "fgsm": 0.5, "pgd": 0.9, "cospgd": 1.1}
STEPS = {"noise": 0, "fgsm": 1, "pgd": 10, "cospgd": 10}
FLOOR = 0.5


@dataclass(frozen=True)
class Case:
    """What one image gives at one dose."""

    score: float
    measures: tuple[float, ...] = ()
    truth: tuple[float, ...] = ()
    found: tuple[float, ...] = ()


def _data(
    shape: list[int] | None, bounds: list[float], spacing: list[float] | None, counts: list[int]
) -> dict[str, Any]:
    return {"shape": shape, "bounds": bounds, "spacing": spacing, "per_class": counts}


class World:
    """One kind of task. `at` says what an image gives under a dose; 0 is the image as stored."""

    kind: str
    task: ClassVar[dict[str, Any]]
    data: ClassVar[dict[str, Any]]
    images = 40
    floor = FLOOR

    def at(self, row: int, dose: float) -> Case:
        raise NotImplementedError

    def slices(self, row: int, dose: float) -> list[dict[str, Any]]:
        """Arrays `clean`, `adversarial`, `perturbation` and `marks` of each plane that is shown."""
        raise NotImplementedError

    def fall(self, row: int) -> float:
        return float(np.exp(np.random.default_rng(row).normal(0.5, 0.7)))


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum())) if truth.any() else float("nan")


class Segmentation(World):
    """Lungs and lesions on slices of a thorax CT in Hounsfield units."""

    kind = "segmentation"
    size = 96
    parts = ("left lung", "right lung", "lesion")
    task: ClassVar[dict[str, Any]] = {"head": "softmax per pixel", "score": "dice", "floor": FLOOR, "operating": {}}
    data: ClassVar[dict[str, Any]] = {
        "shape": [1, 96, 96],
        "bounds": [-1024.0, 3071.0],
        "spacing": [0.8, 0.8],
        "per_class": [40, 40, 27],
    }

    @property
    def measures(self) -> list[dict[str, str]]:
        units = {"dice": "", "hd95": "mm", "volume_error": "ml"}
        better = {"dice": "higher", "hd95": "lower", "volume_error": "lower"}
        return [
            {"name": name, "part": part, "unit": units[name], "better": better[name]}
            for part in self.parts
            for name in units
        ]

    def masks(self, row: int, dose: float) -> np.ndarray:
        rng, size = np.random.default_rng(row), self.size
        y, x = np.mgrid[:size, :size] / size
        shrink = 1 / (1 + (dose / 2.2) ** 2)
        out = []
        for part, (cx, cy) in enumerate(((0.3, 0.5), (0.7, 0.5))):
            radius = 0.16 + 0.02 * rng.random()
            body = ((x - cx) / radius) ** 2 + ((y - cy) / (1.6 * radius)) ** 2 < 1
            out.append(body & (y < cy + 1.6 * radius * (2 * shrink - 1) + 0.004 * part))
        cx, cy, radius = 0.28 + 0.05 * rng.random(), 0.45 + 0.1 * rng.random(), 0.05 + 0.02 * rng.random()
        there = row % 3 > 0
        out.append(there & ((x - cx) ** 2 + (y - cy) ** 2 < (radius * shrink) ** 2))
        return np.stack(out)

    def at(self, row: int, dose: float) -> Case:
        truth, found = self.masks(row, 0.0), self.masks(row, 0.5 + dose)
        values: list[float] = []
        for part in range(len(self.parts)):
            dice = _dice(found[part], truth[part])
            values += [dice, np.nan if not truth[part].any() else (1 - dice) * 60 if found[part].any() else 107.5]
            values += [abs(float(found[part].sum()) - float(truth[part].sum())) * 0.0032]
        dices = np.array(values[::3])
        return Case(float(np.nanmean(dices)), tuple(values))

    def picture(self, row: int) -> np.ndarray:
        rng, masks = np.random.default_rng(row), self.masks(row, 0.0)
        y, x = np.mgrid[: self.size, : self.size] / self.size
        image = np.where(((x - 0.5) / 0.47) ** 2 + ((y - 0.5) / 0.42) ** 2 < 1, 150.0, 8.0)
        image[masks[0] | masks[1]] = 45
        image[masks[2]] = 120
        return image + rng.normal(0, 6, image.shape)

    def slices(self, row: int, dose: float) -> list[dict[str, Any]]:
        clean = self.picture(row)
        change = np.sign(np.random.default_rng(row).normal(size=clean.shape)) * 3
        marks = {
            "truth": outlines(self.masks(row, 0.0)),
            "clean": outlines(self.masks(row, 0.5)),
            "adversarial": outlines(self.masks(row, 0.5 + dose)),
        }
        return [_plane(clean, change, marks, changed=120)]


class Volume(Segmentation):
    """Both parts of the hippocampus in volumes of which some slices change."""

    images = 12
    size = 48
    parts = ("anterior", "posterior")
    data: ClassVar[dict[str, Any]] = {
        "shape": None,
        "bounds": [0.0, 4095.0],
        "spacing": [1.0, 1.0, 2.5],
        "per_class": [12, 12],
    }

    def masks(self, row: int, dose: float) -> np.ndarray:
        return super().masks(row, dose)[:2]

    def picture(self, row: int) -> np.ndarray:
        rng, masks = np.random.default_rng(row), self.masks(row, 0.0)
        image = np.full((self.size, self.size), 90.0)
        image[masks.any(axis=0)] = 140
        return image + rng.normal(0, 9, image.shape)

    def slices(self, row: int, dose: float) -> list[dict[str, Any]]:
        (one,) = super().slices(row, dose)
        return [
            {**one, "axis": 2, "index": index, "count": 24, "changed": 40 + 9 * index, "aspect": 1.0}
            for index in (7, 9, 10, 11, 12, 14)
        ]


class Detection(World):
    """Artefacts in endoscopic views."""

    kind = "detection"
    parts = ("bubbles", "specularity", "blur", "saturation")
    task: ClassVar[dict[str, Any]] = {
        "head": "sigmoid, candidates",
        "score": "f1",
        "floor": FLOOR,
        "operating": {"confidence": 0.5, "overlap": 0.5, "suppression": 0.5},
    }
    data: ClassVar[dict[str, Any]] = {
        "shape": [3, 96, 96],
        "bounds": [0.0, 255.0],
        "spacing": None,
        "per_class": [31, 28, 24, 30],
    }
    measures: ClassVar[list[dict[str, str]]] = []

    def boxes(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(row)
        count = 2 + row % 3
        corners, size = rng.uniform(0.05, 0.65, (count, 2)), rng.uniform(0.12, 0.3, (count, 2))
        # Kept apart, so that each detection belongs to one box.
        corners[:, 0] = 0.05 + np.arange(count) * 0.24
        size[:, 0] = 0.2
        return np.concatenate([corners, corners + size], axis=1), rng.integers(0, len(self.parts), count)

    def found(self, row: int, dose: float) -> list[tuple[float, ...]]:
        corners, labels = self.boxes(row)
        rng = np.random.default_rng(1000 + row)
        rows = []
        for box, label in zip(corners, labels, strict=True):
            jitter = rng.normal(0, 0.006, 4)
            confidence = rng.uniform(0.62, 0.97) / (1 + dose * rng.uniform(0.1, 0.9))
            rows.append((float(label), confidence, *np.clip(box + jitter, 0, 1)))
        for place in range(3):
            confidence = rng.uniform(0.05, 0.45) + min(0.5, 0.08 * dose)
            x, y = rng.uniform(0, 0.8), 0.82
            rows.append((float(place % len(self.parts)), confidence, x, y, x + 0.1, y + 0.12))
        return [one for one in rows if one[1] >= 0.05]

    def at(self, row: int, dose: float) -> Case:
        corners, labels = self.boxes(row)
        rows = self.found(row, dose)
        shown = [one[1] >= 0.5 for one in rows]
        hits, alarms = sum(shown[: len(labels)]), sum(shown[len(labels) :])
        score = 2 * hits / (len(labels) + hits + alarms)
        truth = tuple(float(value) for box, label in zip(corners, labels, strict=True) for value in (label, *box))
        return Case(score, (), truth, tuple(float(value) for one in rows for value in one))

    def slices(self, row: int, dose: float) -> list[dict[str, Any]]:
        rng = np.random.default_rng(row)
        canvas = Image.new("RGB", (96, 96), (168, 92, 78))
        draw = ImageDraw.Draw(canvas)
        corners, labels = self.boxes(row)
        for box, label in zip(corners * 96, labels, strict=True):
            draw.ellipse(list(box), fill=[(214, 190, 176), (250, 250, 248), (150, 88, 80), (240, 220, 120)][label])
        clean = np.asarray(canvas, dtype=float) + rng.normal(0, 5, (96, 96, 3))
        change = np.sign(rng.normal(size=clean.shape)) * 2.0
        marks = {"truth": [_box(int(label), box, None) for box, label in zip(corners, labels, strict=True)]}
        for name, at in (("clean", 0.0), ("adversarial", dose)):
            rows = [one for one in self.found(row, at) if one[1] >= 0.5]
            marks[name] = [_box(int(one[0]), np.array(one[2:]), round(one[1], 4)) for one in rows]
        return [_plane(clean, change, marks, changed=0)]


class MultiLabel(World):
    """Findings on chest X-rays, some of them unknown."""

    kind = "multilabel"
    floor = 0.999
    parts = ("effusion", "mass", "nodule", "cardiomegaly")
    task: ClassVar[dict[str, Any]] = {
        "head": "a sigmoid per finding",
        "score": "share of findings read right",
        "floor": None,
        "operating": {"thresholds": [0.5, 0.4, 0.3, 0.5]},
    }
    data: ClassVar[dict[str, Any]] = {
        "shape": [1, 64, 64],
        "bounds": [0.0, 255.0],
        "spacing": None,
        "per_class": [10, 13, 12, 14],
    }
    measures: ClassVar[list[dict[str, str]]] = []

    def at(self, row: int, dose: float) -> Case:
        rng = np.random.default_rng(row)
        truth = (rng.random(4) < 0.35).astype(float)
        truth[rng.random(4) < 0.1] = -1
        push = np.array([1.0, 0.5, 0.8, 0.2]) * dose
        logits = np.where(truth == 1, 1.6, -1.8) + rng.normal(0, 1, 4)
        probability = 1 / (1 + np.exp(-(logits + np.where(truth == 1, -push, push))))
        known = truth >= 0
        right = (probability >= self.task["operating"]["thresholds"]) == (truth == 1)
        score = float(right[known].mean()) if known.any() else float("nan")
        return Case(score, (), tuple(truth), tuple(map(float, probability)))

    def slices(self, row: int, dose: float) -> list[dict[str, Any]]:
        y, x = np.mgrid[:64, :64] / 64
        clean = 190 - 120 * ((abs(x - 0.3) < 0.13) | (abs(x - 0.7) < 0.13)) * (abs(y - 0.5) < 0.35)
        clean = clean + np.random.default_rng(row).normal(0, 6, (64, 64))
        change = np.sign(np.random.default_rng(row + 1).normal(size=(64, 64))) * 2
        return [_plane(clean, change, {}, changed=0)]


def _box(part: int, box: np.ndarray, score: float | None) -> dict[str, Any]:
    return {"part": part, "kind": "box", "points": np.clip(box, 0, 1).round(4).reshape(2, 2).tolist(), "score": score}


def _plane(clean: np.ndarray, change: np.ndarray, marks: dict[str, Any], changed: int) -> dict[str, Any]:
    arrays = {"clean": clean, "adversarial": clean + change, "perturbation": 128 + 30 * change}
    place = {"axis": None, "index": 0, "count": 1, "changed": changed, "aspect": 1.0}
    return {**arrays, **place, "marks": marks}


WORLDS: dict[str, type[World]] = {
    "segmentation": Segmentation,
    "volume": Volume,
    "detection": Detection,
    "multilabel": MultiLabel,
}


@cache
def case_of(kind: str, row: int, dose: float) -> Case:
    """What an image of one of the `WORLDS` gives at a dose."""
    return WORLDS[kind]().at(row, dose)


@cache
def records(kind: str, attack: str, hostile: str = "") -> tuple[Record, ...]:
    """The records of one untargeted attack on all images of one of the `WORLDS`."""
    made, world = [], WORLDS[kind]()
    for row in range(world.images):
        clean, before = case_of(kind, row, 0.0), False
        right = bool(clean.score > world.floor)
        for eps in EPS:
            case = case_of(kind, row, STRENGTH[attack] * eps / world.fall(row) if right else 0.0)
            success = bool(right and case.score <= world.floor)
            ran = right and not before
            made.append(
                Record(
                    image=f"{hostile}case_{row:03d}.nii.gz", row=row, group=f"{hostile}{row // 2}", label=-1,
                    attack=attack, item=f"{attack}-item", goal="untargeted", norm="linf", eps=eps,
                    clean_prediction=-1, clean_right=right, clean_score=clean.score,
                    clean_measures=clean.measures, truth=clean.truth, clean_found=clean.found,
                    clean_margin=clean.score - world.floor, clean_disease_score=float("nan"), eligible=right,
                    prediction=-1, score=case.score, measures=case.measures, found=case.found,
                    margin=case.score - world.floor, disease_score=float("nan"), success=success,
                    first_success=3 if success else -1,
                    evidence=("attacked" if not before else "carried") if right else "not attacked",
                    linf=eps if right else 0.0, l2=eps * 60.0, l1=eps * 5000.0,
                    site="", scanner="", spacing=(), psnr=48.0, ssim=0.99, saved_linf=0.0,
                    clean_handled=(), clean_handled_scores=(), handled=(), handled_scores=(),
                    forwards=12 if ran else 1, backwards=STEPS[attack] * ran,
                    seed=row, zero_gradient=False, blocked_gradient=False, non_finite=False,
                )
            )  # fmt: skip
            before = before or success
    return tuple(made)


def make_dense(
    path: Path, kind: str, *, hostile: bool = False, pictures: int = 3, leave_out: Sequence[str] = (), **changes: Any
) -> RunFolder:
    """Write a run folder of one of the `WORLDS`; `leave_out` are attacks whose shard is missing."""
    world, run, text = WORLDS[kind](), RunFolder(path), HOSTILE if hostile else ""
    base = describe(Patients.make(10, 1, False), text)
    actual = base["attacks"][:4]
    attacks = [
        {**one, "name": name, "item": f"{name}-item", "eps": list(EPS), "goal": "untargeted"}
        for one, name in zip(actual, STRENGTH, strict=True)
    ]
    task: ClassVar[dict[str, Any]] = {
        "kind": world.kind,
        "classes": [f"{part}{text}" for part in world.parts],
        "disease": [],
        "measures": [{**one, "part": f"{one['part']}{text}"} for one in world.measures],
        **world.task,
    }
    data: ClassVar[dict[str, Any]] = {**base["data"], **world.data, "images": world.images, "groups": world.images // 2}
    gallery = [_entry(run, kind, row, text) for row in _telling(kind)[:pictures]]
    run.save_description(
        {
            **base,
            "title": f"{kind.capitalize()} phantoms{text}",
            "task": task,
            "data": data,
            "threat": {**base["threat"], "eps": list(EPS)},
            "attacks": attacks,
            "gates": [],
            "shards": list(STRENGTH),
            "gallery": gallery,
            **changes,
        }
    )
    for name in STRENGTH:
        if name not in leave_out:
            run.write_shard(name, records(kind, name, text))
    return run


def _telling(kind: str) -> list[int]:
    world = WORLDS[kind]()
    falls = [row for row in range(world.images) if case_of(kind, row, 0.0).score > world.floor]
    return sorted(falls, key=world.fall)


def _entry(run: RunFolder, kind: str, row: int, text: str) -> dict[str, Any]:
    world = WORLDS[kind]()
    dose = STRENGTH["pgd"] * 4.0 / world.fall(row)
    clean, case, slices = case_of(kind, row, 0.0), case_of(kind, row, dose), []
    for plane in world.slices(row, dose):
        names = {}
        for part in ("clean", "adversarial", "perturbation"):
            names[part] = f"images/{row}-{part}-{plane['index']}.png"
            write_atomically(run.path / names[part], _png(plane[part]))
        slices.append({**plane, **names})
    first = max(slices, key=lambda one: one["changed"])
    flat = world.kind == "multilabel"
    return {
        "attack": "pgd", "eps": 4.0, "row": row, "image": f"{text}case_{row:03d}.nii.gz", "label": -1,
        "clean_prediction": -1, "prediction": -1,
        **{part: first[part] for part in ("clean", "adversarial", "perturbation")},
        "amplification": 50.0, "success": case.score <= world.floor, "clean_score": clean.score, "score": case.score,
        "clean_measures": list(clean.measures), "measures": list(case.measures),
        "truth": list(clean.truth) if flat else [], "clean_found": list(clean.found) if flat else [],
        "found": list(case.found) if flat else [],
        "window": [-980.0, 420.0] if world.kind == "segmentation" else None, "slices": slices,
    }  # fmt: skip
