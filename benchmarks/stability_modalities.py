"""The third meaning of "stable": how an attack's strength spreads over modalities and tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from palpate.errors import InputError
from palpate.metrics.intervals import Estimate, Resampling, undefined
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.spreads import NO_IMAGE, check, estimated, mean

FEW_WORLDS = "A spread over worlds needs two of them."


@dataclass(frozen=True, eq=False)
class World:
    """One modality and task: how hard the attack hits each of its images at the budget that is matched."""

    strength: Floats
    """(N,) relative drop, or success as 0 and 1; NaN for images that do not count."""
    resampling: Resampling
    """Of the N images."""


@dataclass(frozen=True)
class AcrossModalities:
    """Third meaning: how unequally an attack fares over modalities and tasks."""

    worlds: Mapping[str, Estimate]
    """Mean strength in each world."""
    mean: Estimate
    """Mean of the worlds' means, each world weighing the same."""
    spread: Estimate
    """Standard deviation of the worlds' means, with n - 1."""
    extent: Estimate
    """Largest mean minus smallest."""
    noise: float
    """The spread that sampling images alone would give: root mean square of the means' bootstrap standard errors."""


def across_modalities(worlds: Mapping[str, World]) -> AcrossModalities:
    """How an attack's mean strength spreads over worlds at matched budgets.

    Intervals by a stratified bootstrap: groups are drawn anew within every world, worlds are not drawn. They tell the
    uncertainty for these worlds and say nothing of worlds to come. A world without images that count is left out.

    Args:
        worlds: by name; at least two for a spread.
    """
    means, drawn = _world_means(worlds)
    known = {name: estimate for name, estimate in means.items() if not np.isnan(estimate.value)}
    values = np.array([estimate.value for estimate in known.values()])
    table = np.stack([drawn[name] for name in known]) if known else np.zeros((0, 0))
    noise = float(np.sqrt(np.mean([_variance(row) for row in table]))) if known else float("nan")
    return AcrossModalities(
        worlds=means,
        mean=_between(values, table, _average, least=1),
        spread=_between(values, table, _deviation),
        extent=_between(values, table, _extent),
        noise=noise,
    )


def compare_modalities(first: Mapping[str, World], second: Mapping[str, World]) -> Estimate:
    """The first attack's spread over worlds minus the second's, on the same images: below 0, the first is steadier.

    Both are resampled together: each draw of images serves both attacks. Images that one attack lacks do not count.

    Raises:
        InputError: the attacks have different worlds, or a world has different groups.
    """
    if list(first) != list(second) or any(
        not np.array_equal(first[name].resampling.group, second[name].resampling.group) for name in first
    ):
        raise InputError("Two attacks are compared over the same worlds with the same images.")
    pairs = {name: _known_to_both(world, second[name]) for name, world in first.items()}
    (one, ones), (two, twos) = (_world_means({name: pair[of] for name, pair in pairs.items()}) for of in (0, 1))
    known = [name for name in one if not np.isnan(one[name].value + two[name].value)]
    if len(known) < 2:
        return undefined(FEW_WORLDS)
    values = [np.array([means[name].value for name in known])[:, None] for means in (one, two)]
    tables = [np.stack([drawn[name] for name in known]) for drawn in (ones, twos)]
    difference = _deviation(values[0]) - _deviation(values[1])
    return estimated(float(difference[0]), _deviation(tables[0]) - _deviation(tables[1]), len(known))


def _world_means(worlds: Mapping[str, World]) -> tuple[dict[str, Estimate], dict[str, Floats]]:
    """Each world's mean and its resamples (replicates,); each world draws with a seed of its own."""
    means, drawn = {}, {}
    for place, (name, world) in enumerate(worlds.items()):
        values = np.asarray(world.strength, np.float64)
        check(world.resampling, values)
        # Worlds of as many groups would otherwise share their draws, and their errors would go together.
        seed = int(np.random.SeedSequence([world.resampling.seed, place]).generate_state(1)[0])
        own, counts = replace(world.resampling, seed=seed), np.isfinite(values)
        means[name] = own.mean(values, counts, NO_IMAGE)
        drawn[name] = own.resampled(partial(_mean_among, values=values, among=counts))
    return means, drawn


def _known_to_both(first: World, second: World) -> tuple[World, World]:
    """Both with what either lacks left out, and with the first's draws."""
    lost = np.asarray(first.strength, np.float64) + np.asarray(second.strength, np.float64)
    one, two = (np.where(np.isfinite(lost), world.strength, np.nan) for world in (first, second))
    return World(one, first.resampling), World(two, first.resampling)


def _mean_among(weights: Floats, values: Floats, among: Bools) -> Floats:
    return mean(weights[:, among], values[among])


def _between(values: Floats, table: Floats, figure: Callable[[Floats], Floats], least: int = 2) -> Estimate:
    """A figure of the worlds' means (W,) with its interval from their resamples (W, replicates)."""
    if values.size < least:
        return undefined(NO_IMAGE if least == 1 else FEW_WORLDS)
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
