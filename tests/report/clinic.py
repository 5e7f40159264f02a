"""Believable runs from files: CT in Hounsfield units with eight handlings and three hospitals, and endoscopic JPEGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from tests.report.dense import make_dense, records
from tests.report.world import ATTACKS, FEW, HOSTILE, Patients, Press, describe, make_run, shard

HANDLINGS = {
    "saved": "written in the format that the image came in, and read again",
    "8bit": "as 8-bit PNG over the window, and back",
    "jpeg90": "as JPEG of quality 90 over the window",
    "jpeg75": "as JPEG of quality 75 over the window",
    "jpeg2000": "as JPEG 2000 at a tenth of the size",
    "half": "at half the resolution, and back",
    "rewindow": "with a window 10% wider",
    "blur1": "smoothed by a Gaussian of one pixel",
}
KEPT = {"saved": 0.1, "8bit": 0.05, "jpeg90": 0.8, "jpeg75": 0.5, "jpeg2000": 0.7, "half": 0.4, "rewindow": 0.9,
        "blur1": 0.3}  # fmt: skip
"""Share of the successes that live on, in a run that does not search on the lattice."""
SITES = ("Northern General", "St Anne", "")
SCANNERS = ("Siemens SOMATOM", "GE Revolution")
UNIT = 4.0
"""HU of one stored value of the other world."""
WINDOW = (-160.0, 240.0)


def site_of(row: int) -> int:
    """Many images of the first site, fewer of the second, a handful of unknown ones."""
    return 0 if row % 10 < 6 else 1 if row % 10 < 9 else 2


def dress(
    record: Record,
    *,
    factor: float = 1.0,
    lattice: bool = False,
    climbed: Sequence[str] = (),
    text: str = "",
    difference: float = 0.5,
) -> Record:
    """A record of a world as a run from files has it."""
    draws = np.random.default_rng([record.row, *record.attack.encode()]).random(len(HANDLINGS))
    kept = [1.0 if name in climbed or (lattice and name == "saved") else share for name, share in KEPT.items()]
    ran = record.eligible
    after = [-0.4 if record.success and draw < share else 0.3 for draw, share in zip(draws, kept, strict=True)]
    alone = [-0.1 if name == "blur1" and record.row % 9 == 4 else 0.6 for name in HANDLINGS]
    psnr = 72.0 - 20 * np.log10(record.eps * factor) + record.row % 5
    return replace(
        record,
        eps=record.eps * factor,
        linf=record.linf * factor,
        site=SITES[site_of(record.row)] + (text if site_of(record.row) < 2 else ""),
        scanner=SCANNERS[record.row % 2] + text,
        spacing=(0.7, 0.7),
        psnr=float(psnr) if ran else float("nan"),
        ssim=float(1 - 0.0004 * record.eps * factor),
        saved_linf=0.0 if lattice else difference,
        clean_handled=tuple(alone),
        clean_handled_scores=(1.0,) * len(HANDLINGS),
        handled=tuple(after if ran else alone),
        handled_scores=(0.0,) * len(HANDLINGS),
    )


def _described(text: str) -> dict[str, Any]:
    return {"handlings": [{"name": name, "words": words + text} for name, words in HANDLINGS.items()]}


def make_ct(
    path: Path,
    *,
    hostile: bool = False,
    lattice: bool = False,
    images: int = 60,
    names: Sequence[str] = FEW,
    **changes: Any,
) -> RunFolder:
    """A grader of CT slices in HU; `pgd-robust` is `pgd` that climbed the expectation over two handlings."""
    text, run = HOSTILE if hostile else "", RunFolder(path)
    made = make_run(path, hostile=hostile, attacks=names, images=images)
    base, patients = describe(Patients.make(images, 1, hostile), text, names), Patients.make(images, 1, hostile)
    eps = [one * UNIT for one in base["threat"]["eps"]]
    attacks = [{**one, "eps": eps} for one in base["attacks"]]
    plain = next(one for one in attacks if one["name"] == "pgd")
    robust = {**plain, "name": "pgd-robust", "item": "pgd-robust-item", "seconds": 120.0,
              "robust_to": ["jpeg75", "blur1"]}  # fmt: skip
    gallery = [{**one, "eps": one["eps"] * UNIT, "window": list(WINDOW)} for one in made.describe()["gallery"]]
    exported = path / "exports" / "pgd" / "8 HU 0001.dcm"
    exported.parent.mkdir(parents=True)
    exported.write_bytes(b"\0" * 128 + b"DICM")
    exports = [{"attack": one["attack"], "eps": one["eps"], "row": one["row"], "file": "exports/pgd/8 HU 0001.dcm"}
               for one in gallery]  # fmt: skip
    run.save_description(
        {
            **base,
            **_described(text),
            "title": f"Nodule grader on CT slices{text}",
            "data": {
                **base["data"], "bounds": [-1024.0, 3071.0], "unit": "HU" + text, "step": 1.0, "window": list(WINDOW),
                "formats": ["DICOM" + text], "sites": [name + text for name in SITES[:2]],
                "scanners": [name + text for name in SCANNERS], "shape": [1, 112, 112], "spacing": [0.7, 0.7],
            },
            "threat": {**base["threat"], "eps": eps, "lattice": lattice,
                       "region": ["inside body", "outside text" + text],
                       "words": f"Every value may change by at most eps{text}"},
            "attacks": [*attacks, robust],
            "gallery": gallery,
            "exports": exports,
            "shards": [*names, "pgd-robust"],
            **changes,
        }
    )  # fmt: skip
    presses = [*(one for one in ATTACKS if one.name in names), Press("pgd-robust", "pgd", 0.8, 60)]
    for press in presses:
        climbed = robust["robust_to"] if press.name == "pgd-robust" else ()
        made_up = [
            dress(one, factor=UNIT, lattice=lattice, climbed=climbed, text=text) for one in shard(press, patients, text)
        ]
        run.write_shard(press.name, made_up)
    return run


def make_endoscopy(path: Path, *, hostile: bool = False, pictures: int = 3, **changes: Any) -> RunFolder:
    """A detector on endoscopic JPEGs of two sites: what is saved is compressed again."""
    text = HOSTILE if hostile else ""
    run = make_dense(path, "detection", hostile=hostile, pictures=pictures)
    stored = run.describe()
    data = {**stored["data"], "step": 1.0, "formats": ["JPEG"], "sites": list(SITES[:2]), "scanners": []}
    run.save_description({**stored, **_described(text), "data": data, **changes})
    for attack in stored["shards"]:
        made_up = records("detection", attack, text)
        run.write_shard(attack, [replace(dress(one, difference=11.0), scanner="") for one in made_up])
    return run
