"""Checks that compare attacks of one goal with each other and with what theory says of a working attack."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Literal

import numpy as np

from palpate.metrics.findings import HealthFinding, Level
from palpate.metrics.pairs import Pairing, holm, paired
from palpate.metrics.panel import Images, Ints, Outcome
from palpate.metrics.robustness import success_rate, worst_success
from palpate.metrics.validity.indicators import BEHIND

AttackKind = Literal["gradient-free", "single-step", "iterative"]

ESTABLISHED = 0.05
"""A paired difference is called established if its p, adjusted by Holm over the tests of a check, is below this."""
FEW = 0.1
"""A tie counts only where at least this share of the images fell: with a handful of images ties are chance."""
HALF_RANGE = 0.5
"""An L-inf budget of half the range can turn every image into the same grey, which beats any model."""
SATURATED = 0.95
"""Success above this at the largest budget shows that the attack works."""


def kind(outcome: Outcome, steps: int | None = None) -> AttackKind:
    """How an attack climbs, read from the backward passes it spent.

    Args:
        outcome: the attack's records.
        steps: its number of steps where the plan gives it: beaten images stop early, so by its passes alone an
            iterative attack may look like a single step.
    """
    most = int(outcome.backwards.max(initial=0))
    if most == 0:
        return "gradient-free"
    return "iterative" if max(most, steps or 0) > 1 else "single-step"


def compare(first: Outcome, second: Outcome, groups: Ints) -> Iterator[tuple[float, Pairing]]:
    """The two attacks image by image at each budget that both have, over images eligible for both.

    Args:
        first: one attack.
        second: another.
        groups: (N,) group number of each image.
    """
    both = first.eligible & second.eligible
    for eps in np.intersect1d(first.eps, second.eps):
        one, two = int(np.searchsorted(first.eps, eps)), int(np.searchsorted(second.eps, eps))
        among = both & first.recorded[one] & second.recorded[two]
        yield float(eps), paired(first.success[one][among], second.success[two][among], groups[among])


def strongest(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The attack with the most successes over all its budgets; the first of equals."""
    return max(outcomes, key=lambda outcome: int(outcome.success.sum()), default=None)


def noise_baseline(outcomes: Sequence[Outcome], kinds: Mapping[str, AttackKind], groups: Ints) -> HealthFinding:
    """Attacks that follow gradients beat more images than attacks without, such as random noise.

    Args:
        outcomes: attacks of one goal.
        kinds: attack name -> how it climbs.
        groups: (N,) group number of each image.
    """
    name = "Gradients beat noise"
    free = [outcome for outcome in outcomes if kinds[outcome.attack] == "gradient-free"]
    guided = [outcome for outcome in outcomes if kinds[outcome.attack] != "gradient-free"]
    if not free:
        return HealthFinding(
            "note", name, 'No attack without gradients ran to compare with. Write attack = "noise" in [[attacks]].'
        )
    if not guided:
        return HealthFinding("note", name, "No attack with gradients ran, so there is nothing to compare.")
    return _ordering(
        name,
        (free, guided),
        groups,
        "The gradients of this model mislead the attacks; its robust accuracy cannot be trusted until that is fixed. "
        'Write attack = "strongest" in [[attacks]], which also searches without gradients.',
        strict=True,
    )


def iterations_help(outcomes: Sequence[Outcome], kinds: Mapping[str, AttackKind], groups: Ints) -> HealthFinding:
    """Attacks of many steps beat more images than attacks of one step; the arguments are those of `noise_baseline`."""
    name = "Steps beat one step"
    single = [outcome for outcome in outcomes if kinds[outcome.attack] == "single-step"]
    iterative = [outcome for outcome in outcomes if kinds[outcome.attack] == "iterative"]
    if not single or not iterative:
        return HealthFinding("note", name, "There is no pair of a single-step and an iterative attack to compare.")
    advice = (
        'Their step size is too large or the loss is not smooth. Write steps = 200 for them, or attack = "strongest".'
    )
    return _ordering(name, (single, iterative), groups, advice, strict=False)


def _ordering(
    name: str, sides: tuple[Sequence[Outcome], Sequence[Outcome]], groups: Ints, meaning: str, *, strict: bool
) -> HealthFinding:
    """Whether the second side beats more than the first; `strict`: a tie or a lead of one image already counts."""
    weak, strong = sides
    best, proof = strongest(strong), ""
    behind: list[str] = []
    rows = [(low, high, *row) for low, high in product(weak, strong) for row in compare(low, high, groups)]
    adjusted = holm([pair.p_value for *_, pair in rows])
    for (low, high, eps, pair), p_holm in zip(rows, adjusted, strict=True):
        lead = pair.only_first - pair.only_second
        established = lead > 0 and p_holm < ESTABLISHED
        if established and high is best:
            proof = proof or (
                f"At eps {eps:g} '{low.attack}' beat {pair.both + pair.only_first} images and the strongest of "
                f"the others, '{high.attack}', only {pair.both + pair.only_second}. "
            )
        tie = lead == 0 and pair.neither > 0 and pair.both > FEW * (pair.both + pair.neither)
        if established or (lead > 0 and (strict or high is best)) or (tie and strict):
            behind.append(high.attack)
    if proof:
        return HealthFinding("failure", name, proof + meaning)
    if behind:
        names = ", ".join(f"'{attack}'" for attack in dict.fromkeys(behind))
        against = ", ".join(f"'{outcome.attack}'" for outcome in weak)
        relation = "no stronger than" if strict else "weaker than"
        text = f"At some budget {relation} {against}: {names}. "
        return HealthFinding("warning", name, f'{text}Write steps = 200 for them, or attack = "strongest".')
    return HealthFinding("pass", name, "Stronger attacks beat weaker ones at every budget.")


def growth(images: Images, outcomes: Sequence[Outcome]) -> HealthFinding:
    """Success grows with the budget."""
    name = "Success grows with eps"
    falling, flat = [], []
    for outcome in outcomes:
        rates = [success_rate(outcome, budget) for budget in range(outcome.eps.size)]
        complete = [share.value for share in rates if share.total and share.total == rates[0].total]
        if len(complete) < len(rates) or len(rates) < 2:
            continue
        if any(later < earlier for earlier, later in pairwise(complete)):
            falling.append(outcome.attack)
        elif len(complete) > 2 and 0 < complete[0] == complete[-1] < 1:
            flat.append(outcome.attack)
    together = {worst_success(images, outcomes, eps).value for eps in _budgets(outcomes)}
    if len(_budgets(outcomes)) > 2 and len(together) == 1 and 0 < min(together) < 1:
        return HealthFinding(
            "failure",
            name,
            "No attack beats more images at the largest budget than at the smallest: the attacks are stuck. Write "
            'attack = "strongest" in [[attacks]].',
        )
    if falling or flat:
        texts = [f"'{attack}' beats fewer images at a larger budget" for attack in falling]
        texts += [f"'{attack}' beats no more images at a larger budget" for attack in flat]
        text = f"{'; '.join(texts)}. Such an attack has not converged. Write steps = 200 for it."
        return HealthFinding("warning", name, text)
    return HealthFinding("pass", name, "Every attack beats at least as many images at each larger budget.")


def reaches_all(images: Images, outcomes: Sequence[Outcome], extent: float, unit: str = "") -> HealthFinding:
    """A white-box attack with a large enough budget beats every image.

    Args:
        images: the audited images.
        outcomes: the attacks of the untargeted goal.
        extent: high minus low bound.
        unit: that of the values.
    """
    name, budgets = "Large budgets win", _budgets(outcomes)
    if not budgets:
        return HealthFinding("note", name, "No untargeted attack ran.")
    largest = budgets[-1]
    share = worst_success(images, outcomes, largest)
    written = f"{largest:g} {unit}".strip()
    part = (
        f"At the largest eps, {written} ({largest / extent:.2%} of the range), {share.count} of {share.total} images "
        "were beaten"
    )
    if share.total == 0:
        return HealthFinding("note", name, "No image could be attacked.")
    norm = outcomes[0].norm
    if norm == "linf" and largest >= HALF_RANGE * extent and share.count < share.total:
        return HealthFinding(
            "failure",
            name,
            f"{part}. With half the range any image can become plain grey: the attacks fail. Write "
            'attack = "strongest" in [[attacks]].',
        )
    if share.value < SATURATED:
        return HealthFinding(
            "warning",
            name,
            f"{part}. Either the model is robust or the attacks are too weak. Add a larger eps: {4 * largest:g} in "
            "threat.eps.",
        )
    return HealthFinding("pass", name, f"{part}: the attacks work.")


def strong_enough(
    outcomes: Sequence[Outcome], kinds: Mapping[str, AttackKind], staged: Collection[str] = ()
) -> HealthFinding:
    """At least one attack of many steps that follows gradients is behind robust accuracy.

    Args:
        outcomes: attacks of one goal.
        kinds: attack name -> how it climbs.
        staged: attacks of several stages; without gradients only their searches run.
    """
    name = "A strong attack ran"
    iterative = [outcome.attack for outcome in outcomes if kinds[outcome.attack] == "iterative"]
    if iterative:
        names = ", ".join(f"'{attack}'" for attack in iterative)
        return HealthFinding("pass", name, f"Iterative attacks with full access to the model: {names}.")
    if searched := [one.attack for one in outcomes if one.attack in staged and kinds[one.attack] == "gradient-free"]:
        names = ", ".join(f"'{attack}'" for attack in searched)
        text = f"Of {names} only the search without gradient ran, so robust accuracy is only an upper bound. {BEHIND}"
        return HealthFinding("failure", name, text)
    level: Level = "failure" if outcomes else "note"
    text = (
        "No untargeted attack ran."
        if not outcomes
        else "No attack with several gradient steps ran, so robust accuracy is only an upper bound."
    )
    text += ' Write attack = "strongest" in [[attacks]].'
    return HealthFinding(level, name, text)


def _budgets(outcomes: Sequence[Outcome]) -> list[float]:
    return sorted({float(eps) for outcome in outcomes for eps in outcome.eps})
