"""A made cache of the study, in the form that its cells have: random numbers, no network, nothing measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from palpate.storage.traces import FIELD_NAMES

STRENGTH = {
    "fgsm": 0.3,
    "bim": 0.6,
    "pgd": 0.6,
    "smia": 0.55,
    "smia, perturbation distribution through": 0.5,
    "steadfast": 0.7,
}
RANDOM = {"pgd": 0.6, "bim, random start": 0.6, "smia, random start": 0.6}
KEPT = {"8bit": 0.95, "jpeg90": 0.6, "jpeg75": 0.4, "half": 0.5, "blur1": 0.5}
BENCHMARKS = {"fundus_dr": 0.5, "covid_ct": 4.0}
IMAGES = 16
CHOICES = {"steps": 20, "smooth": "step", "agreement": "label", "through": False, "weight": 0.5}


def make(root: Path, benchmarks: Sequence[str] = tuple(BENCHMARKS), images: int = IMAGES, trace: bool = True) -> Path:
    """Write the cache; the same numbers every time."""
    for benchmark in benchmarks:
        folder = root / "rows" / benchmark
        folder.mkdir(parents=True, exist_ok=True)
        for attack in dict.fromkeys([*STRENGTH, *RANDOM]):
            _attack(folder, benchmark, attack, images)
        if trace:
            for attack in ("bim", "smia", "steadfast"):
                _trace(folder, attack, BENCHMARKS[benchmark])
    (root / "ablation.json").write_text(json.dumps(ablation()))
    return root


def _attack(folder: Path, benchmark: str, attack: str, images: int) -> None:
    eps, draws, command = (
        BENCHMARKS[benchmark],
        attack in RANDOM,
        "python -m benchmarks.smia_study --stage study --only",
    )
    slug = attack.replace(",", "").replace(" ", "-")
    for seed in (0, 1, 2) if draws else (0,):
        names = [f"{slug}_eps{eps:g}_{mode}_seed{seed}" for mode in ("steps", "passes")]
        linked = not attack.startswith("smia") and attack != "steadfast"
        for mode, name in zip(("steps", "passes"), names, strict=True):
            rows = names[0] if linked else name
            about = {
                **{
                    "benchmark": benchmark,
                    "attack": attack,
                    "recipe": slug,
                    "parameters": CHOICES,
                    "eps": eps,
                    "mode": mode,
                },
                **{
                    "steps": 20,
                    "passes": 40,
                    "seed": seed,
                    "split": "test",
                    "deterministic": not draws,
                    "seconds": 3.0,
                },
                "rows": rows,
                "handlings": list(KEPT),
                "second": "SegResNet",
                "versions": {"palpate": "0"},
                "command": f"{command} {benchmark}/{slug}/eps{eps:g}/{mode}/seed{seed}",
            }
            (folder / f"{name}.json").write_text(json.dumps(about))
            if rows == name:
                strength = {**STRENGTH, **RANDOM}[attack]
                columns, changes = _rows(benchmark, strength, hash_of(attack) + seed, images, eps, linked)
                pq.write_table(pa.table(columns), folder / f"{name}.parquet")
                np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, change=changes.astype(np.float16))


def hash_of(attack: str) -> int:
    """A number for each attack; SMIA's is BIM's, so that they are one, as the algebra says."""
    return sum(map(ord, "bim" if attack == "smia" else attack))


def _rows(
    benchmark: str, strength: float, seed: int, images: int, eps: float, linked: bool
) -> tuple[dict[str, list[object]], np.ndarray]:
    common, rng = np.random.default_rng(len(benchmark)), np.random.default_rng([seed, len(benchmark)])
    hard = common.random(images)
    clean = common.uniform(0.7, 0.95, images)
    eligible = common.random(images) > 0.1
    margin = hard - strength + rng.normal(0, 0.05, images)
    columns: dict[str, list[object]] = {
        "row": list(range(images)),
        "group": [f"patient{k // 2}" if benchmark == "covid_ct" else str(k) for k in range(images)],
        "eligible": eligible.tolist(),
        "clean_margin": (clean - 0.5).tolist(),
        "margin": margin.tolist(),
        "clean_score": clean.tolist(),
        "score": np.clip(clean * hard / (strength + 0.3), 0, clean).tolist(),
        "success": ((margin <= 0) & eligible).tolist(),
        "linf": [eps] * images,
        "forwards": [20 if linked else 26] * images,
        "backwards": [20 if linked else 13] * images,
        "delta_sd": (eps * rng.uniform(0.6, 0.9, images)).tolist(),
    }
    for name, left in KEPT.items():
        columns[f"handled_margin_{name}"] = (margin + (1 - left) * strength).tolist()
        columns[f"handled_score_{name}"] = np.clip(clean * hard / (strength * left + 0.3), 0, clean).tolist()
        columns[f"clean_handled_margin_{name}"] = (clean - 0.55).tolist()
        columns[f"clean_handled_score_{name}"] = (clean - 0.02).tolist()
    if benchmark == "fundus_dr":
        columns["transfer_margin"] = (margin + 0.3).tolist()
        columns["transfer_score"] = np.clip(clean - 0.2, 0, 1).tolist()
        columns["transfer_clean_margin"] = (clean - 0.8).tolist()
        columns["transfer_clean_score"] = clean.tolist()
    return columns, eps * rng.choice((-1.0, 1.0), size=(8, 1, 6, 6))


def _trace(folder: Path, attack: str, eps: float, images: int = 6, steps: int = 20) -> None:
    rng = np.random.default_rng(hash_of(attack))
    rows = []
    for row in range(images):
        scale = rng.uniform(0.5, 2.0)
        for step in range(steps + 1):
            share = step / steps
            line = dict.fromkeys(FIELD_NAMES, 0.0) | {
                **{"image": f"{row}.png", "row": row, "group": str(row), "attack": attack, "item": "item"},
                **{"goal": "untargeted", "eps": eps, "start": 0, "step": step, "steps": steps},
                **{"kl_smoothed": scale * 0.1 * np.exp(-share), "kl_final": scale * (1 - share) ** 2},
                **{"kl_clean": scale * share**2, "cos_step": 0.5 - 0.4 * share, "cos_final": 0.4 + 0.6 * share},
                **{"l2": 1.0, "plane_x": 0.5, "plane_y": 0.5},
            }
            rows.append(line)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"trace_{attack}.parquet")


def ablation() -> dict[str, object]:
    """The document of the ablation, with two points on two benchmarks."""
    names = ("bim", "smia step label detached 0.5 3/1", "smia perturbation distribution through 1 3/1")
    points = []
    for place, name in enumerate(names):
        figures: dict[str, object] = {"name": name, "mean_rank": None if name == "bim" else 1.5 + 0.5 * place}
        for benchmark in ("fundus_dr", "covid_ct"):
            entry = {
                mode: {
                    "drop": 0.4 + 0.01 * place,
                    "success": 0.5,
                    "handled_drop": {"8bit": 0.4, "jpeg90": 0.2, "blur1": 0.2},
                    "passes": 40.0,
                }
                for mode in ("passes", "steps")
            }
            figures[benchmark] = {"rank": None if name == "bim" else float(place), **entry}
        points.append(figures)
    return {
        "command": "python -m benchmarks.smia_study --stage ablation",
        "rule": "The largest drop wins.",
        "benchmarks": ["fundus_dr", "covid_ct"],
        "present": names[1],
        "best": names[1],
        "lead": {"value": 0.0, "low": 0.0, "high": 0.0},
        "default": names[1],
        "points": points,
        "parameters": {name: {} for name in names},
        "eps": {"fundus_dr": 0.5, "covid_ct": 1.0},
        "images": {"fundus_dr": 50, "covid_ct": 50},
    }
