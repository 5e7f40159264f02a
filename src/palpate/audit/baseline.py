"""One pass over all clean images before any attack: every image can be attacked, and which ones are worth showing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palpate.audit.subject import Subject
from palpate.errors import InputError


def clean_outputs(subject: Subject, batch: int) -> Tensor:
    """The model's outputs for all images (N, width), on the CPU.

    Raises:
        InputError: an image leaves the bounds or holds NaN or infinity, or the model's output for it does; its file is
            named.
    """
    low, high = subject.victim.bounds
    outputs = []
    with subject.victim:
        for start in range(0, len(subject.table), batch):
            rows = range(start, min(start + batch, len(subject.table)))
            images = subject.images(rows)
            flat = images.flatten(1)
            # Comparisons with NaN are false.
            _refuse(
                subject,
                rows,
                ((flat >= low) & (flat <= high)).all(1),
                f"it holds values outside the bounds {low:g} to {high:g}, or NaN. Correct model.bounds, or the image.",
            )
            answers = subject.victim.judge(images)
            _refuse(
                subject,
                rows,
                torch.isfinite(answers.reshape(len(rows), -1)).all(1),
                "the model's output for it is NaN or infinite. Check the preprocessing and the weights, or take the "
                "image out.",
            )
            outputs.append(answers.cpu())
    return torch.cat(outputs)


def _refuse(subject: Subject, rows: Sequence[int], good: Tensor, text: str) -> None:
    bad = (~good).nonzero().flatten().tolist()
    if bad:
        raise InputError(f"{subject.table[rows[bad[0]]].name}: {text}")
