"""What the page shows in addition to the figures of `results.json`: orders, choices and sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from palpate.metrics.intervals import MOST
from palpate.report.compute.reading import FEWER, UNTARGETED
from palpate.report.draw.axis import BudgetAxis
from palpate.report.model.schema import AttackResults, Results
from palpate.report.model.schema_quality import Check, GoalJudgement
from palpate.report.model.shown import PictureDescription
from palpate.report.model.typed import Figure
from palpate.report.model.words import amount
from palpate.report.page.cards import moved

SHOWN = 16
"""The most pictures on the page."""
SLICES = 48
"""Slices of volumes on the page, after which no further picture is added."""
GRADINGS = (
    ("quadratic_kappa", "Quadratic weighted kappa"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("area_under_roc", "AUROC"),
)
_GRAVITY = ("failure", "warning", "note", "pass")
_DEGREES = ("low", "not known", "medium", "high")
_QUALITY = {
    "low": "attacks may have missed much",
    "not known": "nothing else tried these images",
    "medium": "read with care",
    "high": "no sign of a missed attack",
}
_ARTEFACTS = (
    "Hendrycks, Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR 2019.",
    "Hansen, Müller, Koumoutsakos, Reducing the Time Complexity of the Derandomized Evolution Strategy with Covariance "
    "Matrix Adaptation (CMA-ES), Evol. Comput. 11, 2003.",
)
_METHODS = (
    "Carlini et al., On Evaluating Adversarial Robustness, arXiv:1902.06705, 2019.",
    "Pintor et al., Indicators of Attack Failure: Debugging and Improving Optimization of Adversarial Examples, "
    "NeurIPS 2022.",
    "Wilson, Probable Inference, the Law of Succession, and Statistical Inference, J. Am. Stat. Assoc. 22, 1927.",
    "Hesterberg, What Teachers Should Know About the Bootstrap (expanded percentiles), Am. Stat. 69, 2015.",
    "McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions, Psychometrika 12, 1947.",
    "Fisher, The Design of Experiments, section 21 (sign flips), 1935.",
    "Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Stat. 6, 1979.",
    "Cohen, Weighted Kappa, Psychol. Bull. 70, 1968.",
)
_KAPPA = _METHODS[-1]
_DENSE = {
    "segmentation": (
        "Maier-Hein, Reinke et al., Metrics Reloaded: Recommendations for Image Analysis Validation, Nat. Methods 21, "
        "2024.",
        "Nikolov et al., Clinically Applicable Segmentation of Head and Neck Anatomy for Radiotherapy (surface Dice), "
        "J. Med. Internet Res. 23, 2021.",
    ),
    "detection": (
        "Lin et al., Microsoft COCO: Common Objects in Context (average precision), ECCV 2014.",
        "Setio et al., Validation, Comparison, and Combination of Algorithms for Automatic Detection of Pulmonary "
        "Nodules in CT: The LUNA16 Challenge (FROC), Med. Image Anal. 42, 2017.",
    ),
}


def knowledge(results: Results) -> str:
    """What the attacks knew about the model, as their passes show."""
    blind = [attack.name for attack in results.attacks if attack.kind == "gradient-free"]
    strongest = "the strongest position of an attacker, and the right one to find out how fragile a model is."
    if len(blind) == len(results.attacks):
        return (
            "No attack knew the model's weights or gradients: each saw only its outputs (black box). An attacker who "
            "knows the model can do more, so the figures are upper bounds."
        )
    if blind:
        but = ", ".join(blind)
        return f"Attacks knew the model's weights and gradients (white box), except {but}. This is {strongest}"
    return f"Every attack knew the model's weights and gradients (white box). This is {strongest}"


def limits(results: Results) -> str:
    """The tested budgets: `Tested limits: 24, 32 and 64 HU per pixel`."""
    data, threat = results.data, results.threat
    rising = sorted(set(threat.eps))
    if threat.norm != "linf":
        unit, per = data.unit or "stored values", "over all values of an image"
        length = {"l2": "Euclidean length of", "l1": "sum of absolute changes of"}[threat.norm]
        return f"Tested limits: a {length} {_listed(rising)} {unit} {per}."
    step = data.step if not data.unit and data.step else 0.0
    counts = [eps / step for eps in rising] if step else rising
    whole = bool(step) and all(count.is_integer() for count in counts)
    unit = data.unit or ("stored steps" if whole else "stored values")
    per = "pixel and channel" if (data.shape or [1])[0] > 1 and not threat.tied else "pixel"
    return f"Tested limits: {_listed(counts if whole else rising)} {unit} per {per}."


def threat_words(results: Results) -> str:
    """The threat in the unit of the images: `every value changes by at most 24 or 32 HU, in whole stored steps`."""
    words, data = results.threat.words, results.data
    if not data.unit:
        return words
    numbers = r"(at most [\d.]+(?:(?:, | or )[\d.]+)*)"
    return re.sub(numbers, rf"\1 {data.unit}", words, count=1).replace("stored value", "value")


def _listed(values: Sequence[float]) -> str:
    *others, last = map(amount, values)
    return f"{', '.join(others)} and {last}" if others else last


def complete_attacks(results: Results) -> int:
    """Attacks that have a record for every image and budget."""
    return sum(attack.images == results.data.images and bool(attack.points) for attack in results.attacks)


def interval_words(results: Results) -> str:
    """How the intervals were made, in a sentence or two."""
    how, others = results.intervals, "kappa and AUROC" if results.task.classification else "all other figures"
    if how.clustered:
        return (
            f"The images come from {how.groups} groups (patients). Proportions have Wilson's 95% interval for as many "
            f"independent images as they are worth (effective sample size), {others} have percentiles of "
            f"{how.replicates} bootstrap resamples of whole groups, seed {how.seed}, {_drawn(how.groups, 'groups')}."
        )
    return (
        f"Proportions have Wilson's 95% interval; {others} have percentiles of "
        f"{how.replicates} bootstrap resamples of the images, seed {how.seed}, {_drawn(how.groups, 'images')}."
    )


def _drawn(groups: int, what: str) -> str:
    return f"expanded for few {what}" if groups <= MOST else f"drawn in {MOST} random blocks of {what}"


def test_words(results: Results) -> str:
    """How two attacks are compared, in a sentence."""
    if results.intervals.clustered:
        return (
            "The test keeps the images of a group (patient) together: it flips, group by group, which of the two "
            "attacks beat an image that only one beat."
        )
    return "McNemar's exact test uses the images that only one of the two beat."


def fewer_words(results: Results) -> str:
    """Which figures were resampled less often; empty where none was."""
    return f"Average precision has {FEWER} resamples." if results.task.kind == "detection" else ""


def by_gravity(checks: Iterable[Check]) -> list[Check]:
    """Checks with the most serious first."""
    return sorted(checks, key=lambda check: _GRAVITY.index(check.level))


def trust(goals: Sequence[GoalJudgement]) -> list[tuple[str, str, str]]:
    """The tiles of both judgements: name, the lowest degree over the goals, and what it means; goals that differ."""
    judged: dict[str, tuple[Sequence[str], dict[str, str]]] = {
        "Attack quality": ([one.quality for one in goals], _QUALITY),
        "Precision": ([one.precision for one in goals], dict.fromkeys(_DEGREES, "by the width of the 95% intervals")),
    }
    tiles: list[tuple[str, str, str]] = []
    for name, (degrees, meaning) in judged.items() if goals else ():
        lowest = min(degrees, key=_DEGREES.index)
        by_degree: dict[str, list[str]] = {}
        for goal, degree in zip(goals, degrees, strict=True):
            by_degree.setdefault(degree, []).append(goal.goal)
        parts = [f"{_some_goals(by_degree[degree])}: {degree}" for degree in _DEGREES if degree in by_degree]
        tiles.append((name, lowest, "; ".join([meaning[lowest], *(parts if len(parts) > 1 else ())])))
    return tiles


def _some_goals(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} goals"


def sources(results: Results) -> list[str]:
    """References of the attacks, then of the artefacts and the methods, each once."""
    named = [attack.reference for attack in results.attacks if attack.reference]
    kept = [method for method in _METHODS if results.task.classification or method != _KAPPA]
    simulated = [*(one.reference for one in results.artefacts.items), *_ARTEFACTS] if results.artefacts else []
    simulated = [one for one in simulated if one and not one.startswith("derived: ")]
    return list(dict.fromkeys([*named, *simulated, *kept, *_DENSE.get(results.task.kind, ())]))


def strongest(results: Results, goal: str) -> AttackResults | None:
    """The attack of a goal that kept to its budget and has the most successes; the first of equals."""
    ran = [one for one in results.attacks if one.goal == goal and one.points and not one.outside_budget]
    return max(ran, key=lambda attack: sum(point.success_rate.count or 0 for point in attack.points), default=None)


def paired(results: Results) -> list[dict[str, Any]]:
    """The comparisons with the strongest attack of each goal, seen from the other attack."""
    rows = []
    for pair in results.comparisons:
        best = strongest(results, pair.goal)
        if best is None or best.name not in {pair.first, pair.second}:
            continue
        turned = pair.first == best.name
        rows.append(
            {
                **pair.model_dump(),
                "attack": pair.second if turned else pair.first,
                "strongest": best.name,
                "only_attack": pair.only_second if turned else pair.only_first,
                "only_strongest": pair.only_first if turned else pair.only_second,
            }
        )
    return rows


def worst_gradings(results: Results, name: str, scale: BudgetAxis) -> list[Figure | None]:
    """A grading figure in the worst case over all attacks, at each budget."""
    found = {one.eps: getattr(one.grading, name) for one in results.worst_grading}
    return [found.get(eps) for eps in scale.eps]


def gradings(results: Results) -> list[tuple[str, str]]:
    """The grading figures that this task has."""
    return [(name, title) for name, title in GRADINGS if getattr(results.clean.grading, name) is not None]


def outside(results: Results) -> list[str]:
    """Untargeted attacks that left their budget."""
    return [attack.name for attack in results.attacks if attack.outside_budget and attack.goal == UNTARGETED]


def chosen(gallery: Sequence[PictureDescription], results: Results, limit: int = SHOWN) -> list[PictureDescription]:
    """The pictures that the page shows; all of them would make it too large to open or to print.

    One of each attack in turn, clinical goals first, images that the attack beat before those that it did not, and as
    many different images as possible. An attack that beat none shows one.
    """
    goals = {attack.name: attack.goal for attack in results.attacks}
    attacks = sorted({one.attack: None for one in gallery}, key=lambda name: goals.get(name, "") == UNTARGETED)
    rest = {name: [one for one in gallery if one.attack == name and moved(one)] for name in attacks}
    rest |= {name: [one for one in gallery if one.attack == name][:1] for name in attacks if not rest[name]}
    picked: list[PictureDescription] = []

    def full() -> bool:
        return len(picked) >= limit or sum(max(1, len(one.slices)) for one in picked) >= SLICES

    while not full() and any(rest.values()):
        for name in attacks:
            if rest[name] and not full():
                rows = [one.row for one in picked]
                fresh = min(rest[name], key=lambda one: rows.count(one.row))
                rest[name].remove(fresh)
                picked.append(fresh)
    return picked
