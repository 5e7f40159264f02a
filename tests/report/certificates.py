"""Runs with certificates: every image has a radius that is certified, and a larger one at which it is beaten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from palpate.storage.certificates import CertificateRow
from palpate.storage.runs import RunFolder
from tests.report.dense import WORLDS, case_of, make_dense
from tests.report.world import HOSTILE, PLAIN, Patients, make_run

RADII = (0.0, 2.0, 5.0, 10.0, 20.0)


def item_of(sigma: float, *, masks: bool = False, **changes: Any) -> dict[str, Any]:
    """One sigma of `run.json`."""
    return {
        "item": f"sigma-{sigma:g}", "sigma": sigma, "samples": 1000, "select": 100, "confidence": 0.999,
        "radii": list(RADII), "tau": 0.75 if masks else None, "tau_radius": 5.0 if masks else None,
        "largest": 2.46 * sigma, "attack": True, "steps": 20, "draws": 16, "seconds": 8.0, **changes,
    }  # fmt: skip


def limits(row: int, sigma: float) -> tuple[float, float]:
    """The certified radius of an image, 0 if it abstains, and the radius at which an attack beats it."""
    rng = np.random.default_rng(row)
    radius = sigma * float(rng.uniform(0, 2)) if row % 10 else 0.0
    return radius, radius + float(rng.exponential(6.0))


def rows_of(image: dict[str, Any], sigma: float, parts: int = 0, *, attack: bool = True) -> list[CertificateRow]:
    """The rows of one image; it gives row, group, label, decision, whether it is right, score."""
    radius, beaten = limits(image["row"], sigma)
    made = []
    for level in RADII:
        low, high = image["right"] and radius > level, image["right"] and (beaten > level or not attack)
        made.append(
            CertificateRow(
                image=image["image"], row=image["row"], group=image["group"], site="", scanner="", label=image["label"],
                item=f"sigma-{sigma:g}", sigma=sigma, radius=level, least_score=image["score"] * low,
                least_acceptable=low, least_parts=(0.9 * low,) * parts, abstained=float(radius <= level),
                most_score=image["score"] if high else 0.2 * low, most_acceptable=high, most_parts=(0.95 if high else
                0.9 * low,) * parts, attacked=attack and level > 0, share=0.9, certified=radius,
                prediction=image["prediction"] if radius else -1, unsettled=float(not radius),
                clean_right=image["right"], clean_score=image["score"], forwards=2100, backwards=1920, seed=1,
            )
        )  # fmt: skip
    return made


def add_certificates(
    run: RunFolder, images: list[dict[str, Any]], items: list[dict[str, Any]], parts: list[list[str]], **changes: Any
) -> RunFolder:
    """Write certificates into a run folder."""
    named = [f"{item['item']}-{image['row']}" for item in items for image in images]
    described = {"shards": named, "images": len(images), "parts": parts, "unattacked": "", "items": items, **changes}
    run.save_description({**run.describe(), "certificates": described})
    for item in items:
        for image in images:
            rows = rows_of(image, item["sigma"], len(parts), attack=item["attack"])
            run.write_certificates(f"{item['item']}-{image['row']}", rows)
    return run


def make_graded(path: Path, *, sigmas: tuple[float, ...] = (5.0, 10.0), hostile: bool = False, **how: Any) -> RunFolder:
    """A grader's run with certificates of 20 images."""
    patients, attack = Patients.make(60, 1, hostile), how.pop("attack", True)
    run = make_run(path, hostile=hostile, attacks=("pgd",), pictures=0, task=PLAIN)
    images = [
        {"row": row, "image": f"{row}", "group": f"p{row // 2}", "label": label, "prediction": clean,
         "right": label == clean, "score": float(label == clean)}
        for row, (label, clean) in enumerate(zip(patients.label.tolist(), patients.clean.tolist(), strict=True))
    ][:20]  # fmt: skip
    return add_certificates(run, images, [item_of(sigma, attack=attack) for sigma in sigmas], [], **how)


def make_masks(path: Path, *, hostile: bool = False) -> RunFolder:
    """A run of masks with certificates."""
    text, world = HOSTILE if hostile else "", WORLDS["segmentation"]()
    run = make_dense(path, "segmentation", hostile=hostile, pictures=0)
    images = [
        {"row": row, "image": f"{row}", "group": f"p{row // 2}", "label": -1, "prediction": -1,
         "right": case.score > world.floor, "score": case.score}
        for row, case in ((row, case_of("segmentation", row, 0.0)) for row in range(world.images))
    ]  # fmt: skip
    parts = [["pixel accuracy", ""], *([name, f"liver{text}"] for name in ("dice", "iou"))]
    return add_certificates(run, images, [item_of(10.0, masks=True)], parts)
