"""Choose how the search evaluates a model by timing one step of it; verdicts never depend on the choice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from palpate.allocator import keep_freed_memory
from palpate.tensors import leaves
from palpate.victim.victim import MemoryLayout, Tuning, Victim

_IMAGES, _FEWER, _VALUES, _LARGE = 8, 4, 2**18, 2**20
"""Images of a timed step: eight, or down to four where so many have more values than `_VALUES`, because larger images
load the processor as well; one of `_LARGE` values, such as a volume, does so alone."""
_WORTH_IT = 0.97
"""The share of time that a change of layout or arithmetic must save; below it, noise would decide."""


def choose(victim: Victim, images: Tensor, *, mixed: bool = False, layout: MemoryLayout | None = None) -> Tuning:
    """The fastest way to search `victim` on inputs like `images`, by timing forward and backward passes.

    Batch norms are folded if the outputs stay the same. It raises the process's malloc thresholds
    (`palpate.allocator`). Its passes are not counted on `victim`.

    Args:
        victim: the model under test.
        images: images (B, C, *spatial) in stored values; at most 8 are used, of large ones 4, of volumes 1.
        mixed: allow bfloat16 in the search if it is faster. It is not even timed where the device has no instructions
            for it (`has_bfloat16`).
        layout: use this memory layout instead of timing both.

    Returns:
        The value for `victim.tuning`. Timing is noisy, so two calls may differ; store it with the results.
    """
    keep_freed_memory()
    size = images[0].numel()
    sample = images[: min(_IMAGES, max(_FEWER if size < _LARGE else 1, _VALUES // size))]
    best = Tuning(layout=layout or "contiguous", fold=True)
    seconds = _step_seconds(victim, sample, best)
    candidates: list[dict[str, str]] = [] if layout else [{"layout": "channels_last"}]
    native = has_bfloat16(sample.device)
    if mixed and native:
        candidates.append({"search": "bfloat16"})
    for change in candidates:
        candidate = replace(best, **change)  # type: ignore[arg-type]
        taken = _step_seconds(victim, sample, candidate)
        if taken < seconds * _WORTH_IT:
            best, seconds = candidate, taken
    cheaper = replace(best, forward_no_grad="bfloat16")
    if native and _forward_seconds(victim, sample, cheaper) < _forward_seconds(victim, sample, best) * _WORTH_IT:
        best = cheaper
    return best


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16. A CPU without such instructions emulates it, many times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _step_seconds(victim: Victim, images: Tensor, tuning: Tuning) -> float:
    def step(trial: Victim) -> None:
        place = images.detach().requires_grad_()
        trial.gradient(leaves(trial.search(place))[0].float().logsumexp(-1), place)

    return _seconds(victim, tuning, step, images)


def _forward_seconds(victim: Victim, images: Tensor, tuning: Tuning) -> float:
    return _seconds(victim, tuning, lambda trial: trial.forward_no_grad(images), images)


def _seconds(victim: Victim, tuning: Tuning, work: Callable[[Victim], object], images: Tensor) -> float:
    trial = Victim(
        victim.module,
        victim.bounds,
        preprocess=victim.preprocess,
        inferer=victim.inferer,
        tuning=tuning,
        watchdog=victim.watchdog,
        draws=victim.draws,
        defences=victim.defences,
    )
    taken = []
    with trial:
        for _ in range(3):
            begin = time.perf_counter()
            work(trial)
            if images.is_cuda:
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - begin)
    # The first pass makes the copy and warms the caches.
    return min(taken[1:])
