"""Audit a planted case as a user would: images on the disk, a plan, `palpate audit`, and the figures of the report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.planted import networks
from benchmarks.planted.cases import Case
from palpate.audit.plan.plan import Plan, load_plan
from palpate.audit.run.runner import audit
from palpate.report.compute.results import summarise
from palpate.storage.runs import RunFolder
from palpate.storage.writing import fleeting

IMAGES, IMAGES_SEED = 40, 7
_TASKS = {
    "classification": 'kind = "multiclass"\nclasses = ["disc", "ring", "bar"]',
    "segmentation": 'kind = "segmentation"\nstructures = ["disc"]',
    "multilabel": 'kind = "multilabel"\nfindings = ["left", "middle", "right"]',
}
_PLAN = """title = "Planted: {name}"
seed = 0

[model]
factory = "benchmarks.planted.victims:build"
arguments = {{task = "{task}", wrapper = "{wrapper}", adversarial = {adversarial}, seed = {seed}}}
weights = "in factory"
outputs = "logits"
bounds = [0, 255]

[data]
table = "images.csv"
{data}
[task]
{target}

[threat]
norm = "linf"
eps = [{eps}]

{attacks}
[survival]
saved = false
after = []

[stability]
images = 0

[export]
images = "none"

[quality]
share = 1.0

[run]
batch = {images}
shard = {images}
layout = "contiguous"
random_model = "allow"
at_chance = "allow"
{more}"""


@dataclass(frozen=True)
class Audited:
    """The figures of one audit, and how long it took."""

    case: Case
    results: Mapping[str, Any]
    run: Mapping[str, Any]
    seconds: float

    @property
    def robust(self) -> float:
        """Robust accuracy that the report gives at the audited radius."""
        worst = next(one for one in self.results["worst_case"] if one["goal"] == "untargeted")
        return float(worst["points"][-1]["figure"]["value"])


def write(folder: Path, case: Case, more: str = "") -> Plan:
    """Write images, annotations and plan of a case; `more` is added to the plan."""
    folder.mkdir(parents=True, exist_ok=True)
    shown, target = networks.DATA[case.task](IMAGES, IMAGES_SEED)
    lines = {"classification": "file,label", "segmentation": "file,mask", "multilabel": "file,left,middle,right"}
    table = [lines[case.task]]
    for index, (pixels, truth) in enumerate(zip(shown[:, 0], target, strict=True)):
        _save(folder / f"{index}.png", pixels)
        if case.task == "segmentation":
            _save(folder / f"{index}-mask.png", truth)
            table.append(f"{index}.png,{index}-mask.png")
        else:
            told = [int(value) for value in truth.reshape(-1)]
            table.append(f"{index}.png,{','.join(map(str, told))}")
    (folder / "images.csv").write_text("\n".join(table) + "\n")
    attacks = ""
    for name, parameters in case.attacks:
        attacks += f'[[attacks]]\nattack = "{name}"\n'
        attacks += "".join(f"{key} = {value}\n" for key, value in parameters.items()) + "\n"
    text = _PLAN.format(
        name=case.name, task=case.task, wrapper=case.wrapper, adversarial=str(case.adversarial).lower(),
        seed=case.seed, data='mask = "mask"\n' if case.task == "segmentation" else "", target=_TASKS[case.task],
        eps=f"{case.eps:g}", attacks=attacks, images=IMAGES, more=more,
    )  # fmt: skip
    (folder / "plan.toml").write_text(text)
    return load_plan(folder / "plan.toml")


def _save(path: Path, values: torch.Tensor) -> None:
    Image.fromarray(values.numpy().astype(np.uint8)).save(path)


def run_case(folder: Path, case: Case, more: str = "") -> Audited:
    """Audit one case in a folder of its own."""
    plan = write(folder / "data", case, more)
    networks.trained(case.task, case.adversarial, case.seed)
    begin = time.perf_counter()
    with fleeting():
        audit(plan, folder / "run")
    seconds = time.perf_counter() - begin
    run = RunFolder(folder / "run")
    return Audited(case, summarise(run), run.describe(), seconds)
