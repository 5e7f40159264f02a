"""The third meaning of "stable": how an attack's strength spreads over modalities and tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.stability_spreads import estimated
from palpate.errors import InputError
from palpate.metrics.intervals import Estimate, Resampling, undefined
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.spreads import NO_IMAGE, check, mean

FEW_MODALITIES = "A spread over modalities needs two of them."


@dataclass(frozen=True, eq=False)
class Modality:
    """One modality and task: how hard the attack hits each of its images at the budget that is matched."""

    strength: Floats
    """(N,) relative drop, or success as 0 and 1; NaN for images that do not count."""
    resampling: Resampling
    """Of the N images."""


@dataclass(frozen=True)
class AcrossModalities:
    """Third meaning: how unequally an attack fares over modalities and tasks."""

    modalities: Mapping[str, Estimate]
    """Mean strength in each modality."""
    mean: Estimate
    """Mean of the modalities' means, each modality weighing the same."""
    spread: Estimate
    """Standard deviation of the modalities' means, with n - 1."""
    extent: Estimate
    """Largest mean minus smallest."""
    noise: float
    """The spread that sampling images alone would give: root mean square of the means' bootstrap standard errors."""


def across_modalities(modalities: Mapping[str, Modality]) -> AcrossModalities:
    """How an attack's mean strength spreads over modalities at matched budgets.

    Intervals by a stratified bootstrap: groups are resampled within every modality, modalities are not drawn. They
    give the uncertainty for these modalities and say nothing of others. A modality without images that count is left
    out.

    Args:
        modalities: by name; at least two for a spread.
    """
    means, drawn = _means(modalities)
    known = {name: estimate for name, estimate in means.items() if not np.isnan(estimate.value)}
    values = np.array([estimate.value for estimate in known.values()])
    table = np.stack([drawn[name] for name in known]) if known else np.zeros((0, 0))
    noise = float(np.sqrt(np.mean([_variance(row) for row in table]))) if known else float("nan")
    return AcrossModalities(
        modalities=means,
        mean=_between(values, table, _average, least=1),
        spread=_between(values, table, _deviation),
        extent=_between(values, table, _extent),
        noise=noise,
    )


def compare_modalities(first: Mapping[str, Modality], second: Mapping[str, Modality]) -> Estimate:
    """The first attack's spread over modalities minus the second's, on the same images: below 0, the first is steadier.

    Both are resampled together: each draw of images serves both attacks. Images that one attack lacks do not count.

    Raises:
        InputError: the attacks have different modalities, or a modality has different groups.
    """
    if list(first) != list(second) or any(
        not np.array_equal(first[name].resampling.group, second[name].resampling.group) for name in first
    ):
        raise InputError("Two attacks are compared over the same modalities with the same images.")
    pairs = {name: _known_to_both(modality, second[name]) for name, modality in first.items()}
    (one, ones), (two, twos) = (_means({name: pair[of] for name, pair in pairs.items()}) for of in (0, 1))
    known = [name for name in one if not np.isnan(one[name].value + two[name].value)]
    if len(known) < 2:
        return undefined(FEW_MODALITIES)
    values = [np.array([means[name].value for name in known])[:, None] for means in (one, two)]
    tables = [np.stack([drawn[name] for name in known]) for drawn in (ones, twos)]
    difference = _deviation(values[0]) - _deviation(values[1])
    return estimated(float(difference[0]), _deviation(tables[0]) - _deviation(tables[1]), len(known))


def _means(modalities: Mapping[str, Modality]) -> tuple[dict[str, Estimate], dict[str, Floats]]:
    """Each modality's mean and its resamples (replicates,); each modality draws with a separate seed."""
    means, drawn = {}, {}
    for place, (name, modality) in enumerate(modalities.items()):
        values = np.asarray(modality.strength, np.float64)
        check(modality.resampling, values)
        # Modalities of as many groups would otherwise share their draws, and their errors would go together.
        seed = int(np.random.SeedSequence([modality.resampling.seed, place]).generate_state(1)[0])
        own, counts = replace(modality.resampling, seed=seed), np.isfinite(values)
        means[name] = own.mean(values, counts, NO_IMAGE)
        drawn[name] = own.resampled(partial(_mean_among, values=values, among=counts))
    return means, drawn


def _known_to_both(first: Modality, second: Modality) -> tuple[Modality, Modality]:
    """Both with what either lacks left out, and with the first's draws."""
    lost = np.asarray(first.strength, np.float64) + np.asarray(second.strength, np.float64)
    one, two = (np.where(np.isfinite(lost), modality.strength, np.nan) for modality in (first, second))
    return Modality(one, first.resampling), Modality(two, first.resampling)


def _mean_among(weights: Floats, values: Floats, among: Bools) -> Floats:
    return mean(weights[:, among], values[among])


def _between(values: Floats, table: Floats, figure: Callable[[Floats], Floats], least: int = 2) -> Estimate:
    """A figure of the modalities' means (M,) with its interval from their resamples (M, replicates)."""
    if values.size < least:
        return undefined(NO_IMAGE if least == 1 else FEW_MODALITIES)
    return estimated(float(figure(values[:, None])[0]), figure(table), values.size)


def _average(table: Floats) -> Floats:
    return np.asarray(table.mean(axis=0))


def _deviation(table: Floats) -> Floats:
    return np.asarray(table.std(axis=0, ddof=1))


def _extent(table: Floats) -> Floats:
    return np.asarray(np.ptp(table, axis=0))


def _variance(drawn: Floats) -> float:
    known = drawn[~np.isnan(drawn)]
    return float(known.var())
