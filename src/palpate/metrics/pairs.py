"""Two attacks on the same images: which images each beat, and tests that keep the images of a patient together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from palpate.metrics.panel import Bools, Floats, Ints

FLIPS = 20_000
"""Random sign flips where there are too many to try all."""
EXACT = 14
"""Up to so many groups all sign flips are tried, whatever their sums."""
_ROUNDING = 1e-9
_STEPS = 100_000_000
"""More additions than this are not made one group after the other."""


@dataclass(frozen=True)
class Pairing:
    """Two attacks on the same images at one budget, compared image by image."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    """Two-sided p of `sign_flip`; if every image is a separate group, that of McNemar's exact test."""


def paired(first: Bools, second: Bools, groups: Ints) -> Pairing:
    """The successes of two attacks on the same images, with a test that knows the patients.

    Args:
        first: (M,) the first attack succeeded, over images eligible for both.
        second: (M,) the second attack succeeded, over the same images.
        groups: (M,) group number of each image.
    """
    p_value = sign_flip(first.astype(np.float64) - second, groups)
    return Pairing(
        both=int((first & second).sum()),
        only_first=int((first & ~second).sum()),
        only_second=int((~first & second).sum()),
        neither=int((~first & ~second).sum()),
        p_value=p_value,
    )


def sign_flip(differences: Floats, groups: Ints, seed: int = 0) -> float:
    """Two-sided p of differences that would as soon have the other sign, group by group; 1 if nothing differs.

    If two attacks are equally strong, the sum of the differences within a patient has either sign with the same
    chance, however much the patient's images have in common. p is the chance that the total is at least as far
    from 0 as it is. If all groups differ by the same amount, it is McNemar's exact test. Q. McNemar, Psychometrika 12
    (1947) 153; for groups: R. A. Fisher, The Design of Experiments (1935), section 21.

    It is exact if the differences are whole numbers (successes) or at most 14 groups differ, else the share among
    20,000 random flips.

    Args:
        differences: (N,) one per image.
        groups: (N,) group numbers.
        seed: of the random flips.
    """
    sums = np.bincount(groups, differences)
    sums = sums[np.abs(sums) > _ROUNDING]
    if not sums.size:
        return 1.0
    if np.allclose(np.abs(sums), np.abs(sums[0])):
        return _mcnemar(int((sums > 0).sum()), sums.size)
    if np.allclose(sums, np.rint(sums), rtol=0, atol=_ROUNDING):
        return _whole(np.rint(sums).astype(np.int64))
    if sums.size <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=sums.size)))
        return float((np.abs(signs @ sums) >= abs(sums.sum()) - _ROUNDING).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(FLIPS, sums.size))
    return float(((np.abs(signs @ sums) >= abs(sums.sum()) - _ROUNDING).sum() + 1) / (FLIPS + 1))


@lru_cache(maxsize=4096)
def _mcnemar(positive: int, groups: int) -> float:
    # Loading it takes half a second, which the help pages should not need; scipy.stats takes a second more.
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(positive, groups - positive), groups, 0.5)))


def _whole(sums: Ints) -> float:
    """The exact p over all flips of whole numbers: the distribution of their positive part, one group at a time."""
    sizes = np.abs(sums)
    total = int(sizes.sum())
    if sizes.size * total > _STEPS:
        return _many(sizes, abs(int(sums.sum())))
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for size in sizes:
        chance[size:] = (chance[size:] + chance[:-size]) / 2
        chance[:size] /= 2
    far = np.abs(2 * np.arange(total + 1) - total) >= abs(int(sums.sum()))
    return min(1.0, float(chance[far].sum()))


def _many(sizes: Ints, seen: int) -> float:
    """The same from its characteristic function, prod cos(s t): exact to 1e-14, and no step for each group."""
    total = int(sizes.sum())
    angles = np.pi * np.arange(total // 2 + 1) / (total + 1)
    wave = np.ones(angles.size, dtype=np.complex128)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        # ((1 + e^(-2 i s t)) / 2)^n: the positive part of n groups of size s.
        wave *= np.cos(size * angles) ** count * np.exp(-1j * ((size * count * angles) % (2 * np.pi)))
    chance = np.fft.irfft(wave, total + 1)
    far = np.abs(2 * np.arange(total + 1) - total) >= seen
    return min(1.0, max(0.0, float(chance[far].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment of several p-values: the chance of even one false finding stays at its level.

    S. Holm, Scand. J. Statist. 6 (1979) 65. The i-th smallest of m is multiplied by m - i + 1, kept monotone, and
    cut at 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
