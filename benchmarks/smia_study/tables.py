"""The figures of the study, from its cache: plain numbers with intervals, as `benchmarks/results/smia_study.json`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from benchmarks.smia_study.comparisons import rate, rounded, with_interval
from benchmarks.smia_study.gather import BOTH, PASSES, STEPS, TRANSFER, Series, Setting
from benchmarks.stability_measures import across_models, after_the_clinic
from palpate.metrics.intervals import Share
from palpate.metrics.stability import across_images, across_restarts

NONE = "no image counts here"
Figures = dict[str, Any]


def setting_key(setting: Setting) -> str:
    """Name of a benchmark at a budget in the results file: `polyps@1`."""
    return f"{setting.benchmark}@{setting.eps:g}"


def setting_figures(setting: Setting) -> Figures:
    """Everything about one benchmark at one budget."""
    some = next(iter(setting.series.values()))
    return {
        "benchmark": setting.benchmark,
        "eps": setting.eps,
        "images": some.images,
        "groups": some.over_images.groups,
        "eligible": int(some.eligible[: some.images].sum()),
        "handlings": list(setting.handlings),
        "outcomes": list(setting.outcomes),
        "clean_score": {after: clean_score(some, after) for after in setting.outcomes},
        "alone": {after: alone(some, after) for after in setting.outcomes if after not in ("before", TRANSFER)},
        "attacks": {attack: _modes(setting, attack) for attack in setting.attacks},
    }


def _modes(setting: Setting, attack: str) -> Figures:
    """Figures at equal steps and at equal passes; once, under `both`, where they are the same cells."""
    own = {mode: setting.series[attack, mode] for mode in (STEPS, PASSES) if (attack, mode) in setting.series}
    if len({tuple(cell.about["rows"] for cell in series.seeds) for series in own.values()}) < len(own):
        return {BOTH: series_figures(own[STEPS], setting)}
    return {mode: series_figures(series, setting) for mode, series in own.items()}


def clean_score(series: Series, after: str) -> list[float | None]:
    """Mean score without an attack over the images that count."""
    first = slice(0, series.images)
    return with_interval(series.over_images.mean(series.clean_score(after)[first], series.among(after)[first], NONE))


def alone(series: Series, after: str) -> list[float | None]:
    """Share of the eligible images that a post-processing step alone beats."""
    first = slice(0, series.images)
    beaten = np.less_equal(series.clean_margin(after)[first], 0)
    return with_interval(series.over_images.proportion(Share(beaten, series.among(after)[first])))


def series_figures(series: Series, setting: Setting) -> Figures:
    """One attack counted in one way: strength, cost, and the meanings of stability that need no trace."""
    about, eligible, outcomes = series.about, series.eligible, setting.outcomes
    return {
        "command": re.sub("/seed[0-9]+", "", about["command"]) + ("/seed{0,1,2}" if series.draws else "/seed0"),
        "recipe": about["recipe"],
        "parameters": about["parameters"],
        "steps": about["steps"],
        "seeds": len(series.seeds),
        "draws": series.draws,
        "passes": rounded(float((series.column("forwards") + series.column("backwards"))[eligible].mean())),
        "linf": rounded(float(series.column("linf")[eligible].max())),
        "success": {after: success(series, after) for after in outcomes},
        "score": {after: score(series, after) for after in outcomes},
        "delta_sd": with_interval(series.resampling.mean(series.column("delta_sd"), eligible, NONE)),
        **stability(series, setting),
    }


def success(series: Series, after: str) -> list[float | None]:
    """Share of the images that count which the attack beats, mean over seeds."""
    beaten, among = series.per_image(series.beaten(after)), series.among(after)[: series.images]
    return with_interval(rate(beaten, among, series.over_images))


def score(series: Series, after: str) -> list[float | None]:
    """Mean score under attack over the images that count, mean over seeds."""
    return with_interval(series.resampling.mean(series.score(after), series.among(after), NONE))


def stability(series: Series, setting: Setting) -> Figures:
    """Meanings 1, 2, 5 and 6: across images, across seeds, after the clinic, across models."""
    eligible, resampling = series.eligible, series.resampling
    won, drop = series.beaten("before"), series.clean_score("before") - series.score("before")
    images = across_images(series.clean_score("before"), series.score("before"), won, eligible, resampling)
    shape = (len(series.seeds), series.images)
    seeds = across_restarts(
        drop.reshape(shape),
        won.reshape(shape),
        eligible[: series.images],
        series.over_images,
        series.change_spread,
        draws=series.draws,
    )
    figures: Figures = {
        "across_images": {"drop": with_interval(images.drop), "spread": with_interval(images.spread)},
        "across_seeds": {name: with_interval(getattr(seeds, name)) for name in ("spread", "differing", "change")},
        "clinic": {after: _clinic(series, after, won, drop) for after in setting.handlings},
    }
    if TRANSFER in setting.outcomes:
        other = across_models(
            won,
            eligible,
            series.margin(TRANSFER),
            series.clean_margin(TRANSFER),
            resampling,
            drop=drop,
            transfer_drop=series.clean_score(TRANSFER) - series.score(TRANSFER),
        )
        figures["models"] = {name: with_interval(getattr(other, name)) for name in ("second", "carried", "kept")}
        figures["models"]["both"] = other.both // len(series.seeds)
    return figures


def _clinic(series: Series, after: str, won: np.ndarray, drop: np.ndarray) -> Figures:
    left = after_the_clinic(
        won,
        series.eligible,
        series.margin(after),
        series.clean_margin(after),
        series.resampling,
        drop=drop,
        handled_drop=series.clean_score(after) - series.score(after),
    )
    return {name: with_interval(getattr(left, name)) for name in ("survived_net", "kept")}
