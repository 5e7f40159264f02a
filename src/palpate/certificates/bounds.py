"""The statistics of a certificate: what counted votes prove about the probabilities behind them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[Any]


def lower_bound(hits: int, draws: int, alpha: float) -> float:
    """The one-sided Clopper-Pearson lower bound of a probability: it is larger with confidence 1 - alpha.

    The p at which `hits` or more of `draws` have probability alpha; 0 without a hit.

    >>> round(lower_bound(1000, 1000, 0.001), 4)
    0.9931

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404.
    """
    from scipy.stats import beta  # loading it takes a second

    return float(beta.ppf(alpha, hits, draws - hits + 1)) if hits else 0.0


def certified_radius(share: float, sigma: float) -> float:
    """Sigma * Phi^-1(p): the L2 radius in which a class of probability more than p stays the most probable one.

    Args:
        share: lower bound of the probability of the class.
        sigma: standard deviation of the noise, in stored values.

    Returns:
        The radius in stored values; 0 if p is at most 1/2, which certifies nothing.

    Source: Cohen, Rosenfeld, Kolter, ICML 2019 (arXiv 1902.02918), Theorem 1.
    """
    from scipy.stats import norm

    return sigma * float(norm.ppf(share)) if share > 0.5 else 0.0


def share_at(radius: float, sigma: float) -> float:
    """Phi(radius / sigma): the probability that a class must exceed to be certified at a radius; at least 1/2."""
    from scipy.stats import norm

    return max(0.5, float(norm.cdf(radius / sigma)))


def largest_radius(sigma: float, draws: int, alpha: float, tests: int = 1) -> float:
    """The radius that is certified if all `draws` agree: no radius beyond it is possible with so many samples.

    Args:
        sigma: standard deviation of the noise.
        draws: samples.
        alpha: 1 minus the confidence.
        tests: decisions that are certified together, such as pixels.
    """
    return certified_radius(lower_bound(draws, draws, alpha / tests), sigma)


def fewest_draws(share: float, alpha: float, tests: int = 1) -> int:
    """The fewest samples that can show a probability above `share`, if all of them agree: share^n below alpha."""
    return math.floor(math.log(alpha / tests) / math.log(share)) + 1


def above(hits: Ints, draws: int, share: float) -> Floats:
    """p-values that a probability exceeds `share`: P(Binomial(draws, share) >= hits), of the shape of `hits`."""
    from scipy.stats import binom

    table = binom.sf(np.arange(draws + 1) - 1, draws, share)
    found: Floats = np.asarray(table, dtype=np.float64)[hits]
    return found


def leads(first: Ints, second: Ints) -> Floats:
    """p-values that the first of two classes is the more probable one: the two-sided binomial test with p = 1/2.

    Source: K. Hung and W. Fithian, Ann. Stat. 47 (2019); PREDICT of Cohen, Rosenfeld, Kolter, ICML 2019.
    """
    from scipy.stats import binom

    pairs, place = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1, return_inverse=True)
    one = np.minimum(1.0, 2 * binom.sf(pairs[0] - 1, pairs[0] + pairs[1], 0.5))
    found: Floats = np.asarray(one, dtype=np.float64)[place.ravel()].reshape(first.shape)
    return found


def rejected(p_values: Floats, alpha: float) -> Bools:
    """Which of several hypotheses are rejected so that even one false rejection has probability alpha at most.

    Holm's step-down: the i-th smallest of m is compared with alpha / (m - i + 1), until the first that is larger.
    Of one hypothesis it is p <= alpha.

    Source: S. Holm, Scand. J. Statist. 6 (1979) 65; for pixels Fischer, Baader, Vechev, ICML 2021 (arXiv 2107.00228).
    """
    order = np.argsort(p_values, axis=None, kind="stable")
    count = order.size
    fine = p_values.ravel()[order] <= alpha / np.arange(count, 0, -1)
    kept = count if fine.all() else int(np.argmin(fine))
    found = np.zeros(count, dtype=np.bool_)
    found[order[:kept]] = True
    return found.reshape(p_values.shape)
