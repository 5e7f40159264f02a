"""A peer, or the floor, in a separate process: `python -m benchmarks.alone NAME EPS STEPS [tuned]`.

palpate raises the allocator's thresholds for its whole process. Whoever is compared with must not profit from that, so
each runs apart, warms up with two steps, and reports its own seconds and the robust accuracy of its images as JSON.
`tuned` gives it all of that by hand: batch norms folded, channels last, frozen parameters, and the thresholds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import torch
from torch import Tensor, nn

from benchmarks.measure import Timed
from benchmarks.rivals import RIVALS
from benchmarks.subject import right_ones, trained
from palpate.allocator import keep_freed_memory
from palpate.victim.folding import copied, fold_batch_norms

BATCH = 32


def floor(model: nn.Module, images: Tensor, labels: Tensor, eps: float, steps: int) -> Tensor:
    """What no attack can avoid: forward and backward to the input, parameters frozen, NCHW."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for _ in range(steps):
        place = images.detach().requires_grad_()
        torch.autograd.grad(nn.functional.cross_entropy(model(place), labels), place)
    return images


def tuned(model: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
    """The model and images as somebody prepares them who knows what makes a search fast."""
    keep_freed_memory()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    faster = fold_batch_norms(copied(model), images[:1]).to(memory_format=torch.channels_last)
    return faster, images.contiguous(memory_format=torch.channels_last)


def apart(name: str, eps: float, steps: int, *, best: bool = False) -> Timed:
    """Run `name` in a separate process; `best`: tuned."""
    command = [sys.executable, "-m", "benchmarks.alone", name, str(eps), str(steps), *["tuned"] * best]
    malloc = {"PALPATE_MALLOC": "keep" if best else "0"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | malloc)
    found = json.loads(done.stdout.splitlines()[-1])
    return Timed(found["seconds"], found["robust_accuracy"])


def main() -> None:
    """Warm up, time, judge, print."""
    name, eps, steps = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    model = trained()
    images, labels = right_ones(model, BATCH)
    run = floor if name == "floor" else RIVALS[name]
    searched, given = tuned(model, images) if "tuned" in sys.argv[4:] else (model, images)
    run(searched, given, labels, eps, 2)
    begin = time.perf_counter()
    adversarial = run(searched, given, labels, eps, steps)
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        robust = float((model(adversarial).argmax(1) == labels).double().mean())
    print(json.dumps({"seconds": seconds, "robust_accuracy": robust}))


if __name__ == "__main__":
    main()
