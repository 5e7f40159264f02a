"""A contender on masks in a separate process: `python -m benchmarks.dense_alone NAME EPS STEPS`.

Levers such as malloc thresholds hold for a whole process, so that each contender gets one. It warms up with two steps,
and reports the seconds of its attack, those of its setting up, and the Dice of its images as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.dense_subject import STRUCTURES, dice, drawn, trained
from benchmarks.measure import Timed
from benchmarks.rivals import RIVALS
from palpate import Linf, Victim, catalog
from palpate.tasks.segmentation import Segmentation
from palpate.victim.tuning import choose

BATCH = 8
TASK = Segmentation(STRUCTURES)
LEVERS = ("plain", "tuned", "mixed", "compiled")
Run = Callable[[nn.Module, Tensor, Tensor, float, int], Tensor]


class CompiledSearch(Victim):
    """A victim that searches in a compiled copy; verdicts come from the module as given."""

    def _search_copy(self, images: Tensor) -> nn.Module:
        if self._copy is None:
            self._copy = torch.compile(super()._search_copy(images))
        return self._copy


def floor(model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
    """What no attack can avoid: forward and backward to the input, parameters frozen."""
    model.requires_grad_(False)
    for _ in range(steps):
        place = images.detach().requires_grad_()
        torch.autograd.grad(nn.functional.cross_entropy(model(place), labels), place)
    return images


def ours(attack: str, lever: str, model: nn.Module, images: Tensor) -> Run:
    """One of our attacks, that runs all its steps, with the search set up as `lever` says."""
    victim = (CompiledSearch if lever == "compiled" else Victim)(model, (0, 1))
    if lever != "plain":
        victim.tuning = choose(victim, images, mixed=lever != "tuned")

    def run(model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
        made = catalog.make(attack, Linf(eps), steps=steps, run_to_end=True)
        generator = torch.Generator().manual_seed(0)
        # The copy that is searched, and what was compiled, stay from the warm-up on.
        return made(victim, TASK, images, labels, generator=generator).images

    return _entered(victim, run)


def _entered(victim: Victim, run: Run) -> Run:
    victim.__enter__()
    return run


def apart(name: str, eps: float, steps: int) -> Timed:
    """Run `name` (a rival, `floor`, or `attack:lever`) in a separate process; the answer is the Dice."""
    command = [sys.executable, "-m", "benchmarks.dense_alone", name, str(eps), str(steps)]
    raised = name.partition(":")[2] not in ("", "plain")
    environment = os.environ | {"PALPATE_MALLOC": "1" if raised else "0"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    return Timed(found["seconds"], found)


def main() -> None:
    """Set up, warm up, time, judge, print."""
    name, eps, steps = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    attack, _, lever = name.partition(":")
    model = trained()
    images, labels = drawn(BATCH, seed=7)
    begin = time.perf_counter()
    run = floor if name == "floor" else ours(attack, lever, model, images) if lever else RIVALS[name]
    run(model, images, labels, eps, 2)
    ready = time.perf_counter()
    adversarial = run(model, images, labels, eps, steps)
    seconds = time.perf_counter() - ready
    print(json.dumps({"seconds": seconds, "ready": ready - begin, "dice": dice(model, adversarial, labels)}))


if __name__ == "__main__":
    main()
