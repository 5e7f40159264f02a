"""A believable run without a model: every image has a distance at which it falls, every attack a strength."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically

CLASSES = ["none", "mild", "moderate", "severe", "proliferative"]
DISEASE = (2, 3, 4)
EPS = (0.25, 0.5, 1.0, 2.0, 4.0)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class Press:
    """One attack of the made-up world: how far it reaches for its budget, and what it costs."""

    name: str
    catalog: str
    strength: float
    steps: int
    goal: str = "untargeted"
    overshoot: float = 1.0
    reference: str = ""


ATTACKS = (
    Press("noise", "noise", 0.08, 0, reference="Carlini et al., On Evaluating Adversarial Robustness, 2019."),
    Press(
        "fgsm", "fgsm", 0.55, 1, reference="Goodfellow et al., Explaining and Harnessing Adversarial Examples, 2015."
    ),
    Press("pgd", "pgd", 0.92, 20, reference="Madry et al., Towards Deep Learning Models Resistant, ICLR 2018."),
    Press("smia", "smia", 0.9, 20, reference="Qi et al., Stabilized Medical Image Attacks, ICLR 2021."),
    Press("apgd-margin", "apgd-margin", 1.0, 40, reference="Croce, Hein, Reliable Evaluation, ICML 2020."),
    Press("smia-reference", "smia-reference", 0.8, 10, overshoot=3.0, reference="Code of Qi et al., ICLR 2021."),
    Press("hide", "pgd", 0.9, 20, "hide disease", reference="Madry et al., Towards Deep Learning Models Resistant."),
    Press(
        "invent", "pgd", 0.85, 20, "invent disease", reference="Madry et al., Towards Deep Learning Models Resistant."
    ),
)


NAMES = tuple(press.name for press in ATTACKS)
FEW = ("fgsm", "pgd", "hide")
"""Enough for tests that are not about the attacks."""
PLAIN = {"kind": "multiclass", "head": "softmax", "classes": CLASSES, "disease": []}
"""A task without grades and without disease: much less is computed and drawn."""


@dataclass(frozen=True, eq=False)
class Patients:
    """The made-up images."""

    label: np.ndarray
    clean: np.ndarray
    fall: np.ndarray
    group: np.ndarray
    names: Sequence[str]

    @classmethod
    def make(cls, images: int, per_group: int, hostile: bool) -> Patients:
        rng = np.random.default_rng(11)
        label = np.arange(images) % len(CLASSES)
        slip = (rng.random(images) < 0.15) * rng.choice([-1, 1], images)
        names = [f"eye_{row:03d}.png" for row in range(images)]
        if hostile:
            names = [f"{HOSTILE}{row}.png" for row in range(images)]
        return cls(
            label=label,
            clean=np.clip(label + slip, 0, len(CLASSES) - 1),
            fall=np.exp(rng.normal(0.0, 1.0, images)),
            group=np.arange(images) // per_group,
            names=names,
        )


def shard(press: Press, patients: Patients, title: str) -> list[Record]:
    """The records of one attack on all images."""
    rng = np.random.default_rng([ord(letter) for letter in press.name])
    records = []
    for row, (label, clean) in enumerate(zip(patients.label, patients.clean, strict=True)):
        ill = clean in DISEASE
        untargeted = press.goal == "untargeted"
        applies = untargeted or (label in DISEASE) == (press.goal == "hide disease")
        reached = (clean != label) if untargeted else ill != (label in DISEASE)
        eligible = bool(applies and not reached)
        cost = patients.fall[row] / press.strength * np.exp(rng.normal(0, 0.15)) * (1.0 if untargeted else 1.4)
        before = False
        for eps in EPS:
            success = bool(eligible and eps * press.overshoot >= cost)
            ran = eligible and not before
            moved = {"hide disease": 1, "invent disease": 2}.get(press.goal, label - 1 if label > 0 else 1)
            spent = (-(-press.steps // 2) if success else press.steps) if ran else 0
            distance = 0.0 if not eligible else eps * press.overshoot
            lean = 0.9 if (moved if success else clean) in DISEASE else 0.1
            records.append(
                Record(
                    image=patients.names[row],
                    row=row,
                    group=f"{title}p{patients.group[row]}",
                    label=int(label),
                    attack=press.name,
                    item=f"{press.name}-item",
                    goal=press.goal,
                    norm="linf",
                    eps=eps,
                    clean_prediction=int(clean),
                    clean_right=bool(clean == label),
                    clean_score=float(clean == label),
                    clean_measures=(),
                    truth=(),
                    clean_found=(),
                    clean_margin=1.0 if eligible else -1.0,
                    clean_disease_score=float(np.clip((0.8 if ill else 0.2) + rng.normal(0, 0.1), 0, 1)),
                    eligible=eligible,
                    prediction=int(moved if success else clean),
                    score=float((moved if success else clean) == label),
                    measures=(),
                    found=(),
                    margin=-0.5 if success else 0.5,
                    disease_score=float(np.clip(lean + rng.normal(0, 0.08), 0, 1)),
                    success=success,
                    first_success=press.steps // 2 if success else -1,
                    evidence=("attacked" if not before else "carried") if eligible else "not attacked",
                    linf=distance,
                    l2=distance * 90,
                    l1=distance * 8000,
                    site="",
                    scanner="",
                    spacing=(),
                    psnr=48.0,
                    ssim=0.99,
                    saved_linf=0.0,
                    clean_handled=(),
                    clean_handled_scores=(),
                    handled=(),
                    handled_scores=(),
                    forwards=spent + 2,
                    backwards=spent,
                    seed=row,
                    zero_gradient=bool(ran and row % 17 == 3 and press.steps > 1),
                    blocked_gradient=False,
                    non_finite=False,
                )
            )
            before = success
    return records


def _png(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.clip(array, 0, 255).astype(np.uint8)).save(sink, format="PNG")
    return sink.getvalue()


def _fundus(row: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(row)
    canvas = Image.new("RGB", (size, size), (4, 2, 2))
    draw = ImageDraw.Draw(canvas)
    draw.ellipse([size * 0.04, size * 0.04, size * 0.96, size * 0.96], fill=(150 + row % 30, 66, 28))
    x = size * (0.3 if row % 2 else 0.7)
    draw.ellipse([x - size * 0.09, size * 0.41, x + size * 0.09, size * 0.59], fill=(236, 190, 110))
    for _ in range(7):
        angle = rng.uniform(0, 2 * np.pi)
        points = [(x, size / 2)]
        for step in range(1, 8):
            angle += rng.normal(0, 0.22)
            points.append((points[-1][0] + size * 0.055 * np.cos(angle), points[-1][1] + size * 0.055 * np.sin(angle)))
            draw.line(points[-2:], fill=(104, 26, 16), width=max(1, size // 60 - step // 3))
    for _ in range(3 * (row % 5)):
        a, b = rng.uniform(size * 0.25, size * 0.75, 2)
        draw.ellipse([a, b, a + size * 0.02, b + size * 0.02], fill=(238, 214, 120))
    return np.asarray(canvas, dtype=float) + rng.normal(0, 4, (size, size, 3))


def _gallery(run: RunFolder, patients: Patients, count: int, size: int) -> list[dict[str, Any]]:
    gallery = []
    right = np.flatnonzero((patients.label == patients.clean) & (patients.label > 0))
    for row in map(int, right[:count]):
        clean = _fundus(row, size)
        change = np.sign(np.random.default_rng(row).normal(size=clean.shape)) * 2.0
        pictures = {"clean": clean, "adversarial": clean + change, "perturbation": 128 + 60 * change}
        for part, array in pictures.items():
            write_atomically(run.images / f"{row}-{part}.png", _png(array))
        gallery.append(
            {
                "attack": "hide" if patients.label[row] in DISEASE else "pgd",
                "eps": 2.0,
                "row": row,
                "image": patients.names[row],
                "label": int(patients.label[row]),
                "clean_prediction": int(patients.clean[row]),
                "prediction": int(max(0, patients.label[row] - 1)),
                **{part: f"images/{row}-{part}.png" for part in pictures},
                "amplification": 30.0,
            }
        )
    return gallery


def describe(patients: Patients, hostile: str, attacks: Sequence[str] = NAMES) -> dict[str, Any]:
    """A `run.json` without schema, shards and gallery; `hostile` is added to every text."""
    chosen = [press for press in ATTACKS if press.name in attacks]
    actual = [
        {
            "name": press.name,
            "item": f"{press.name}-item",
            "catalog": press.catalog,
            "goal": press.goal,
            "summary": f"{press.steps} steps of the made-up attack {press.name}.{hostile}",
            "parameters": {"steps": press.steps, "step": 0.125, "note": hostile or "plain"},
            "reference": press.reference + hostile,
            "eps": list(EPS),
            "seconds": 2.5 + 1.7 * press.steps,
        }
        for press in chosen
    ]
    return {
        "status": "finished",
        "title": f"Diabetic retinopathy grader, fundus phantoms{hostile}",
        "palpate": "0.1.0",
        "created": "2026-11-20T09:12:44+00:00",
        "finished": "2026-11-20T09:14:02+00:00",
        "seed": 7,
        "task": {"kind": "ordinal", "head": "softmax", "classes": [f"{name}{hostile}" for name in CLASSES],
                 "disease": list(DISEASE)},
        "model": {"source": f"factory.py:grader{hostile}", "weights": f"grader.safetensors{hostile}",
                  "sha256": "9f2c51d0a7be4e63" * 4, "parameters": 184_325,
                  "preprocess": f"stored 0..255 to 0..1, minus mean, over deviation{hostile}"},
        "data": {"source": f"phantoms, seed 7{hostile}", "images": int(patients.label.size),
                 "per_class": np.bincount(patients.label, minlength=5).tolist(), "shape": [3, 112, 112],
                 "bounds": [0.0, 255.0], "groups": int(np.unique(patients.group).size),
                 "fingerprint": f"1d7e90ab{hostile}"},
        "threat": {"norm": "linf", "eps": list(EPS),
                   "words": f"Every stored value may change by at most eps, within 0 to 255.{hostile}"},
        "attacks": actual,
        "findings": [{"level": "note", "subject": f"Batch norm{hostile}", "text": f"Folded.{hostile}"}],
        "gates": [
            {"text": f"robust accuracy at eps 1: at least 0.5{hostile}", "value": 0.21, "passed": False},
            {"text": f"clean accuracy: at least 0.7{hostile}", "value": 0.85, "passed": True},
        ],
        "tuning": {"batch": 32, "layout": f"channels last{hostile}"},
        "versions": {"palpate": "0.1.0", "torch": "2.13.0", f"numpy{hostile}": "2.4.6"},
        "machine": {"cpu": f"2 cores{hostile}", "device": "cpu"},
    }  # fmt: skip


def make_run(
    path: Path,
    *,
    images: int = 60,
    per_group: int = 1,
    hostile: bool = False,
    pictures: int = 2,
    size: int = 24,
    attacks: Sequence[str] = NAMES,
    leave_out: Sequence[str] = (),
    **changes: Any,
) -> RunFolder:
    """Write a run folder.

    `attacks` are those of the plan, `leave_out` those of them whose shard is missing; `changes` replaces fields of
    run.json.
    """
    run = RunFolder(path)
    patients = Patients.make(images, per_group, hostile)
    text = HOSTILE if hostile else ""
    gallery = _gallery(run, patients, pictures, size)
    run.save_description({**describe(patients, text, attacks), "shards": list(attacks), "gallery": gallery, **changes})
    for press in ATTACKS:
        if press.name in attacks and press.name not in leave_out:
            run.write_shard(press.name, shard(press, patients, text))
    return run
