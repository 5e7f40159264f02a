"""Memory and time of the report of many records: `python -m benchmarks.report_scale --records 10000 100000 1000000`.

A made-up run of a grader is written through the storage code: eight attacks on N/8 images at one budget, with saving
measured. Its report is then made in a process of its own, which prints its peak of memory (VmHWM) and its CPU time. The
process also imports the report; `--profile` prints where its time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa

from benchmarks.measure import say
from palpate.storage.columns import packed
from palpate.storage.records import Record
from palpate.storage.runs import ARROW_SCHEMA, RunFolder
from palpate.storage.writing import fleeting, write_atomically

ATTACKS = ("noise", "fgsm", "bim", "pgd", "smia", "apgd-margin", "hide", "invent")
GOALS = {"hide": "hide disease", "invent": "invent disease"}
STRENGTH = (0.1, 0.5, 0.8, 0.9, 0.9, 1.0, 0.8, 0.8)
CLASSES, DISEASE, EPS = 5, (2, 3, 4), 1.0
KINDS = get_type_hints(Record)
CHILD = """
import resource, sys, time
from pathlib import Path
from palpate.report import write_report
from palpate.storage.runs import RunFolder
if sys.argv[2] == "profile":
    import cProfile, pstats
    with cProfile.Profile(time.process_time) as profile:
        write_report(RunFolder(Path(sys.argv[1])))
    pstats.Stats(profile).sort_stats("tottime").print_stats(45)
else:
    write_report(RunFolder(Path(sys.argv[1])))
spent = resource.getrusage(resource.RUSAGE_SELF)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(spent.ru_utime + spent.ru_stime, int(peak) / 1024)
"""


def fabricate(folder: Path, records: int, per_shard: int, per_patient: int) -> RunFolder:
    """Write a run of about this many records.

    Args:
        folder: the run folder.
        records: images times attacks.
        per_shard: images in a shard, which is also its number of records.
        per_patient: images of a patient.
    """
    run, images = RunFolder(folder), records // len(ATTACKS)
    rng = np.random.default_rng(7)
    label = rng.integers(0, CLASSES, images)
    clean = np.clip(label + (rng.random(images) < 0.15) * rng.choice([-1, 1], images), 0, CLASSES - 1)
    world = {"label": label, "clean": clean, "fall": np.exp(rng.normal(0.0, 1.0, images)),
             "score": np.clip(np.isin(clean, DISEASE) * 0.6 + 0.2 + rng.normal(0, 0.1, images), 0, 1),
             "group": np.arange(images) // per_patient}  # fmt: skip
    shards = []
    with fleeting():
        for attack, strength in zip(ATTACKS, STRENGTH, strict=True):
            for start in range(0, images, per_shard):
                rows = np.arange(start, min(start + per_shard, images))
                shards.append(f"{attack}-{start}")
                table = _table(attack, strength, rows, {name: values[rows] for name, values in world.items()})
                write_atomically(run.shard(shards[-1]), packed(table))
    run.save_description(_described(images, world, shards))
    return run


def _table(attack: str, strength: float, rows: Any, world: dict[str, Any]) -> pa.Table:
    """The records of one shard."""
    rng, count = np.random.default_rng([ord(attack[0]), int(rows[0])]), rows.size
    label, clean, goal = world["label"], world["clean"], GOALS.get(attack, "untargeted")
    ill, says = np.isin(label, DISEASE), np.isin(clean, DISEASE)
    eligible = {"untargeted": label == clean, "hide disease": ill & says, "invent disease": ~ill & ~says}[goal]
    success = eligible & (strength >= world["fall"] * np.exp(rng.normal(0, 0.15, count)))
    moved = {"hide disease": 1, "invent disease": 2}.get(goal, np.where(label > 0, label - 1, 1))
    prediction = np.where(success, moved, clean)
    spent = {"noise": 0, "fgsm": 1}.get(attack, 20)
    columns: dict[str, Any] = {
        "image": [f"eye/{row:07d}.png" for row in rows], "row": rows, "group": [f"p{one}" for one in world["group"]],
        "label": label, "attack": [attack] * count, "item": [f"{attack}-item"] * count, "goal": [goal] * count,
        "norm": ["linf"] * count, "eps": np.full(count, EPS), "clean_prediction": clean, "clean_right": label == clean,
        "clean_score": (label == clean).astype(float), "clean_margin": np.where(eligible, 1.0, -1.0),
        "clean_disease_score": world["score"], "eligible": eligible, "prediction": prediction,
        "score": (prediction == label).astype(float), "margin": np.where(success, -0.5, 0.5),
        "disease_score": np.clip(np.isin(prediction, DISEASE) * 0.8 + 0.1 + rng.normal(0, 0.08, count), 0, 1),
        "success": success, "first_success": np.where(success, spent // 2, -1),
        "evidence": np.where(eligible, "attacked", "not attacked").tolist(), "linf": np.where(eligible, EPS, 0.0),
        "l2": np.where(eligible, 90 * EPS, 0.0), "l1": np.where(eligible, 8000 * EPS, 0.0),
        "psnr": 48 + rng.normal(0, 1, count), "ssim": 0.99 + rng.normal(0, 1e-3, count),
        "saved_linf": np.full(count, 0.5), "clean_handled": np.where(eligible, 1.0, -1.0)[:, None],
        "clean_handled_scores": (label == clean).astype(float)[:, None],
        "handled": np.where(success, -0.4, 0.5)[:, None],
        "handled_scores": (prediction == label).astype(float)[:, None],
        "forwards": np.full(count, spent + 2), "backwards": np.full(count, spent), "seed": rows,
    }  # fmt: skip
    return pa.Table.from_arrays([_column(columns.get(field.name), field, count) for field in ARROW_SCHEMA],
                                schema=ARROW_SCHEMA)  # fmt: skip


def _column(values: Any, field: pa.Field, count: int) -> pa.Array:
    kind = KINDS[field.name]
    if kind not in (str, int, float, bool):
        table = np.zeros((count, 0)) if values is None else values
        offsets = np.arange(count + 1, dtype=np.int32) * table.shape[1]
        return pa.ListArray.from_arrays(offsets, table.ravel().astype(float)).cast(field.type)
    return pa.array([kind()] * count if values is None else values, field.type)


def _described(images: int, world: dict[str, Any], shards: list[str]) -> dict[str, Any]:
    return {
        "status": "finished", "title": "Made up", "palpate": "0", "created": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:00+00:00", "seed": 7, "shards": shards, "gallery": [], "findings": [],
        "gates": [],
        "task": {"kind": "ordinal", "head": "softmax", "classes": ["none", "mild", "moderate", "severe", "worst"],
                 "disease": list(DISEASE)},
        "model": {"source": "none", "weights": "none", "sha256": "0" * 64, "parameters": 1, "preprocess": "none"},
        "data": {"source": "made up", "images": images, "per_class": np.bincount(world["label"]).tolist(),
                 "shape": [3, 8, 8], "bounds": [0.0, 255.0], "groups": int(world["group"].max()) + 1,
                 "fingerprint": "0"},
        "threat": {"norm": "linf", "eps": [EPS], "words": "none"},
        "handlings": [{"name": "saved", "summary": "saved and read again"}],
        "attacks": [{"name": name, "item": f"{name}-item", "catalog": "pgd", "goal": GOALS.get(name, "untargeted"),
                     "summary": "none", "parameters": {}, "reference": "", "eps": [EPS], "seconds": 1.0}
                    for name in ATTACKS],
        "tuning": {}, "versions": {}, "machine": {},
        "shard_seconds": dict.fromkeys(shards, 1.0),
    }  # fmt: skip


def reported(run: RunFolder, how: str = "measure") -> tuple[float, float]:
    """CPU seconds and peak MiB of a process that makes the report."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run([sys.executable, "-c", CHILD, str(run.path), how], env=environment, check=True,
                          stdout=subprocess.PIPE, text=True).stdout  # fmt: skip
    *profile, last = said.strip().splitlines()
    if profile:
        say("\n".join(profile))
    cpu, peak = last.split()
    return float(cpu), float(peak)


def main() -> None:
    """Print memory and time of each size, and the ratios to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--shard", type=int, default=1024, help="images in a shard, as run.shard in a plan")
    parser.add_argument("--patient", type=int, default=1, help="images of a patient")
    parser.add_argument("--rounds", type=int, default=1, help="the fastest and the smallest of these counts")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    first = None
    for records in options.records:
        with tempfile.TemporaryDirectory() as folder:
            run = fabricate(Path(folder), records, options.shard, options.patient)
            found = [reported(run, "profile" if options.profile else "measure") for _ in range(options.rounds)]
            sizes = json.loads(run.results.read_text())["intervals"]
        cpu, peak = (min(values) for values in zip(*found, strict=True))
        first = first or (cpu, peak)
        say(f"{records:>9} records, {sizes['groups']:>7} patients, {options.shard} records a shard: {cpu:7.2f} CPU s "
            f"({cpu / first[0]:.2f} times the first), peak {peak:6.0f} MiB ({peak / first[1]:.2f} times)")  # fmt: skip


if __name__ == "__main__":
    main()
