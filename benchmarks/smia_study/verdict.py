"""The paper's five claims against the figures: what was compared, on which data, and the word that follows by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.smia_study.comparisons import compared, rounded, with_interval
from benchmarks.smia_study.gather import PASSES, STEPS, Series, Setting, is_peer
from benchmarks.smia_study.tables import setting_key
from benchmarks.stability_modalities import Modality, across_modalities, compare_modalities
from palpate.metrics.intervals import Estimate
from palpate.metrics.pairs import holm
from palpate.metrics.panel import Bools
from palpate.metrics.spreads import deviation

SMIA, BIM, OURS = "smia", "bim", "steadfast"
LEVEL = 0.05
SURVIVED = ("jpeg90", "blur1", "transfer")
"""After these a SMIA is compared with BIM, in addition to the claims."""
Interval = list[float | None]
Row = dict[str, Any]
Figures = dict[str, Any]


def main_settings(settings: Sequence[Setting], chosen: Mapping[str, float]) -> list[Setting]:
    """Each benchmark at its main budget: the one chosen on validation images, or else its largest.

    Args:
        settings: all benchmarks at all budgets.
        chosen: eps by benchmark.
    """
    found = []
    for benchmark in dict.fromkeys(one.benchmark for one in settings):
        own = {one.eps: one for one in settings if one.benchmark == benchmark}
        found.append(own.get(chosen.get(benchmark, max(own)), own[max(own)]))
    return found


def pairs(settings: Sequence[Setting], first: str, second: str, mode: str, after: str = "before") -> list[Row]:
    """Two attacks in every benchmark that has both, judged by the drop of the score; p adjusted by Holm."""
    rows = []
    for one in settings:
        if all((name, mode) in one.series for name in (first, second)) and after in one.outcomes:
            found = compared(one.series[first, mode], one.series[second, mode], after)
            rows.append({"setting": setting_key(one), "against": second, **found})
    for name in ("p", "drop_p"):
        for row, adjusted in zip(rows, holm([row[name] for row in rows]), strict=True):
            row[name] = rounded(adjusted)
    return [row | {"side": side(row["drop"], row["drop_p"])} for row in rows]


def side(difference: Sequence[float | None], p: float | None = None, claimed: int = 1) -> str:
    """`for` the claim, `against` it, `same` where nothing at all differs, or `open`.

    Args:
        difference: value, low, high.
        p: adjusted; None if there is no test.
        claimed: 1 if the claim says that the difference is above 0, -1 if below.
    """
    value, low, high = difference
    if value == 0 and not low and not high:
        return "same"
    if value is None or low is None or high is None or (p is not None and p >= LEVEL) or low <= 0 <= high:
        return "open"
    return "for" if value * claimed > 0 else "against"


def word(sides: Sequence[str]) -> str:
    """What is said of a claim from what its comparisons say, by the rule of the page."""
    if not sides:
        return "not testable here"
    if set(sides) in ({"for"}, {"against"}):
        return "holds" if sides[0] == "for" else "the opposite is seen"
    return ("holds partly" if "for" in sides else "not seen") + (
        ", in places the opposite" if "against" in sides else ""
    )


def identity(setting: Setting, form: str, mode: str = STEPS) -> Row | None:
    """How far a SMIA is BIM: on how many images outcome, first step of success and final margin are the same."""
    if (BIM, mode) not in setting.series or (form, mode) not in setting.series:
        return None
    one, two = setting.series[BIM, mode], setting.series[form, mode]
    among = one.eligible[: one.images]

    def same(name: str) -> int:
        return int((np.equal(one.column(name)[: one.images], two.column(name)[: two.images]) & among).sum())

    gaps = [np.abs(a - b).max() for a, b in zip(one.seeds[0].changes, two.seeds[0].changes, strict=True)]
    return {
        "setting": setting_key(setting),
        "images": int(among.sum()),
        "success": same("success"),
        "first_success": same("first_success"),
        "margin": same("margin"),
        "largest": rounded(float(max(gaps, default=np.nan)) / setting.eps),
    }


def spread_difference(first: Series, second: Series) -> Estimate:
    """Standard deviation of the drop over images of the first attack minus that of the second; seeds averaged first."""
    drops = [one.per_image(one.clean_score("before") - one.score("before")) for one in (first, second)]
    among: Bools = first.eligible[: first.images] & np.isfinite(drops[0]) & np.isfinite(drops[1])
    return first.over_images.estimate(
        lambda weights: deviation(weights[:, among], drops[0][among]) - deviation(weights[:, among], drops[1][among]),
        "no image counts here",
    )


def paired_mean(first: Series, second: Series, name: str) -> Estimate:
    """Mean over images of a column of the first attack minus that of the second, seeds averaged first."""
    values = [one.change_spread if name == "change" else one.per_image(one.column(name)) for one in (first, second)]
    apart = values[0] - values[1]
    known = first.eligible[: first.images] & np.isfinite(apart)
    return first.over_images.mean(np.where(known, apart, 0.0), known, "not kept")


def variance_rows(settings: Sequence[Setting], form: str) -> list[Row]:
    """Small variance: a SMIA minus BIM in every benchmark, in the senses that perturbations and outcomes have."""
    rows = []
    for one in settings:
        for what in ("outcome over images", "change over pixels", "change over seeds"):
            names = [f"{name}, random start" if what == "change over seeds" else name for name in (form, BIM)]
            if all((name, STEPS) in one.series for name in names):
                difference = _variance(what, *(one.series[name, STEPS] for name in names))
                rows.append({"setting": setting_key(one), "what": what, "difference": difference})
    return [row | {"side": side(row["difference"], claimed=-1)} for row in rows]


def _variance(what: str, first: Series, second: Series) -> Interval:
    if what == "outcome over images":
        return with_interval(spread_difference(first, second))
    if what == "change over seeds":
        return with_interval(paired_mean(first, second, "change"))
    eps = float(first.about["eps"])
    return [
        None if end is None else rounded(end / eps) for end in with_interval(paired_mean(first, second, "delta_sd"))
    ]


def modalities(settings: Sequence[Setting], mode: str = STEPS) -> Figures:
    """Third meaning: success over the benchmarks of each attack that runs in all of them, and its spread minus BIM's.

    A benchmark counts once: the second network of a set of images is left out. So are benchmarks without SMIA and BIM.
    """
    chosen = [
        one for one in settings if "densenet" not in one.benchmark and {(SMIA, mode), (BIM, mode)} <= one.series.keys()
    ]
    names = [attack for one in chosen[:1] for attack in one.attacks]
    benchmarks = {
        attack: {one.benchmark: _modality(one.series[attack, mode]) for one in chosen}
        for attack in names
        if all((attack, mode) in one.series for one in chosen)
    }
    figures: Figures = {}
    for attack, own in benchmarks.items():
        spread = across_modalities(own)
        figures[attack] = {name: with_interval(getattr(spread, name)) for name in ("mean", "spread", "extent")}
        figures[attack]["benchmarks"] = len(own)
        if BIM in benchmarks and attack != BIM:
            figures[attack]["minus_bim"] = with_interval(compare_modalities(own, benchmarks[BIM]))
    return figures


def _modality(series: Series) -> Modality:
    among = series.among("before")[: series.images]
    strength = np.where(among, series.per_image(series.beaten("before")), np.nan)
    return Modality(strength, series.over_images)


def strongest_peer(setting: Setting, mode: str = PASSES) -> str | None:
    """The published attack outside the SMIA family with the largest success before saving; of equals, lowest score."""
    named = [attack for attack in setting.attacks if is_peer(attack) and (attack, mode) in setting.series]

    def strength(attack: str) -> tuple[float, float]:
        one = setting.series[attack, mode]
        among = one.among("before")
        return float(one.beaten("before")[among].mean()), -float(np.nanmean(one.score("before")[among]))

    return max(named, key=strength, default=None)


def ours(settings: Sequence[Setting]) -> list[Row]:
    """The new attack against PGD, SMIA and the strongest single peer at equal passes, after everything that happens."""
    rows = []
    for one in settings:
        rivals = dict.fromkeys(name for name in ("pgd", SMIA, strongest_peer(one)) if name)
        for name in rivals:
            if (OURS, PASSES) in one.series and (name, PASSES) in one.series:
                for after in one.outcomes:
                    found = compared(one.series[OURS, PASSES], one.series[name, PASSES], after)
                    rows.append({"setting": setting_key(one), "against": name, "after": after, **found})
    for after in dict.fromkeys(row["after"] for row in rows):
        family = [row for row in rows if row["after"] == after]
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p"] = rounded(adjusted)
    return rows


def claims(settings: Sequence[Setting], traced: Mapping[str, Any], spreads: Figures, form: str = SMIA) -> Figures:
    """What one form of SMIA has to show for each claim, at the largest budget of each benchmark.

    Args:
        settings: the benchmarks, each at its largest budget.
        traced: figures of the traces of each benchmark.
        spreads: from `modalities`.
        form: name of the form in the study.
    """
    spot, variance = _spot(settings, traced, form), variance_rows(settings, form)
    escape = {mode: pairs(settings, form, BIM, mode) for mode in (STEPS, PASSES)}
    rivals = {name: pairs(settings, form, name, PASSES) for name in ("fgsm", "pgd")}
    survive = {after: pairs(settings, form, BIM, PASSES, after) for after in SURVIVED}
    own = spreads.get(form, {})
    alike = [side(own["minus_bim"], claimed=-1)] if "minus_bim" in own else []
    return {
        "identity": [row for one in settings for row in [identity(one, form)] if row],
        "spot": {"rows": spot, "word": word([row["side"] for row in spot])},
        "escape": {**escape, **{f"word_{mode}": word([row["side"] for row in rows]) for mode, rows in escape.items()}},
        "alike": {**own, "word": word(alike)},
        "variance": {"rows": variance, "word": word([row["side"] for row in variance])},
        "survive": {
            **survive,
            **{f"word_{name}": word([row["side"] for row in rows]) for name, rows in survive.items()},
        },
        "effective": {
            **rivals,
            **{f"word_{name}": word([row["side"] for row in rows]) for name, rows in rivals.items()},
        },
    }


def _spot(settings: Sequence[Setting], traced: Mapping[str, Any], form: str) -> list[Row]:
    rows: list[Row] = []
    steps = {one.benchmark: one.series[form, STEPS] for one in settings if (form, STEPS) in one.series}
    for benchmark, figures in traced.items():
        found = figures.get(form, {}).get("minus_bim", {})
        # The trace smooths as the form does; only a smoothed step is what BIM's trace looks at too.
        alike = benchmark in steps and steps[benchmark].about["parameters"].get("smooth") == "step"
        for what, claimed in (("final_share", -1), ("smoothed_mean", -1), ("cos_final_half", 1)):
            if what in found and (alike or what != "smoothed_mean"):
                rows.append(_spot_row(benchmark, what, found[what], claimed))
    for one in settings:
        names = (f"{form}, random start", f"{BIM}, random start")
        if all((name, STEPS) in one.series for name in names):
            first, second = (one.series[name, STEPS] for name in names)
            rows.append(_spot_row(one.benchmark, "seeds", with_interval(paired_mean(first, second, "change")), -1))
    return rows


def _spot_row(benchmark: str, what: str, difference: Interval, claimed: int) -> Row:
    return {"benchmark": benchmark, "what": what, "difference": difference, "side": side(difference, claimed=claimed)}
