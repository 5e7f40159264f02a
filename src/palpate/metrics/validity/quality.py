"""Two judgements of the figures of a goal: the quality of its attacks, and the precision of its intervals.

Indicators after Pintor et al., "Indicators of Attack Failure" (2022), and Carlini et al., "On Evaluating Adversarial
Robustness" (2019). Each that fires says what was seen, and what to change in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

import numpy as np

from palpate.metrics.panel import Bools, Outcome
from palpate.metrics.robustness import beaten_within, reach
from palpate.metrics.validity.health import FEW_GROUPS, FEW_IMAGES, MANY
from palpate.metrics.validity.indicators import (
    BEHIND,
    FIXES,
    FIXES_OF_PROBE,
    FREE,
    INCOMPLETE,
    MISLEADING,
    OF_PROBE,
    SEARCH,
    SILENT,
    STRONGEST,
    TRANSFER,
    UNAVAILABLE,
    UNSTABLE,
    WEAK,
    Indicator,
    Sign,
    advised,
)  # fmt: skip
from palpate.metrics.validity.strength import AttackKind
from palpate.metrics.validity.survivors import blocked

Degree = Literal["high", "medium", "low"]
Quality = Literal["high", "medium", "not known", "low"]
Word = TypeVar("Word", bound=str)


HALF = 0.5
"""Gradients mislead when they do not describe the outputs on this share of the probed images."""
OFTEN = 0.2
"""An indicator fires when a probe wins at least two images and this share of those that it tried; one is a doubt."""
SEVERAL = 2
SAMPLE = 4
"""With fewer probed images than this, the probes cannot call attacks strong; with `SEVERAL` they can call them weak."""
NARROW, WIDE = 0.1, 0.2
"""A 95% interval up to `NARROW` is precise, one above `WIDE` is not."""

_TRIED = {
    "more steps": "more steps",
    "more starts": "more starts",
    "noise and one step": "noise, one step",
    "blurred surrogate": "a blurred surrogate",
    "estimated gradients": "estimated gradients",
    "gradient-free search": "a gradient-free search",
}
"""Probes that can win, as a sentence lists them."""


@dataclass(frozen=True)
class ProbeOutcome:
    """One probe of a goal: how many images it attacked and beat."""

    probe: str
    attack: str
    tried: int
    won: int


@dataclass(frozen=True)
class Evidence:
    """What is known about the attacks of one goal.

    Attributes:
        outcomes: their records, of attacks that keep to their budget.
        kinds: attack -> how it climbs.
        probes: outcomes of the probes; None if they were not made.
        survivors: images that nothing beat at the budget of the probes.
        eps: that budget in words.
        unstable: why decisions are not steady; empty if they are.
        gradients: whether the model gives gradients: an attack that follows them ran or could have.
        finished: the run is complete.
        blocked: what the audit said about gradients that do not reach the image; empty if nothing.
        failures: why records are missing or cannot be trusted.
        searches: attack of several stages -> its stages that use no gradient.
        done: probes that were left out, because the stages of an attack of the plan had done the same.
        by: that attack.
        share: value of quality.share with which `SAMPLE` images are probed; 0 if quality.images is less than that.
    """

    outcomes: Sequence[Outcome]
    kinds: Mapping[str, AttackKind]
    probes: Sequence[ProbeOutcome] | None
    survivors: int = 0
    eps: str = ""
    unstable: str = ""
    gradients: bool = True
    finished: bool = True
    blocked: str = ""
    failures: tuple[str, ...] = ()
    searches: Mapping[str, Sequence[str]] = field(default_factory=dict)
    done: Sequence[str] = ()
    by: str = ""
    share: float = 0.0


@dataclass(frozen=True)
class Judgement(Generic[Word]):
    """One judgement with its reasons.

    Attributes:
        degree: `high`, `medium` or `low`; of attacks also `not known`.
        reasons: sentences; never empty.
        indicators: the signs behind a quality that is not high.
    """

    degree: Word
    reasons: tuple[str, ...]
    indicators: tuple[Indicator, ...] = field(default=())


def attack_quality(evidence: Evidence) -> Judgement[Quality]:
    """Could these attacks have missed something? `high`: every kind of evidence is there and nothing speaks against it.

    `low`: an indicator fired, no attack of several steps ran, or the run is unfinished. `medium`: evidence is missing,
    or one image shows an indicator. `not known`: nothing was measured that could show it.
    """
    there = _staged(evidence)
    signs = tuple(replace(one, fix=advised(one.fix, there)) for one in _indicators(evidence))
    fired = [one.text for one in signs if one.sign == "fired"]
    seen = (*fired, *(one.text for one in signs if one.sign == "doubt"))
    if failed := (*_unusable(evidence), *fired):
        return Judgement("low", tuple(dict.fromkeys((*failed, *seen))), signs)
    if reasons := (*seen, *_missing(evidence)):
        return Judgement("medium" if seen or _measured(evidence) else "not known", reasons, signs)
    if not _open(evidence):
        return Judgement("high", ("The attacks beat every image at every budget, so they missed nothing.",))
    return Judgement("high", (_clean(evidence),))


def _staged(evidence: Evidence) -> bool:
    """Whether an attack of several stages ran: `strongest` is in the plan."""
    return any(evidence.searches.get(one.attack) for one in evidence.outcomes)


def _measured(evidence: Evidence) -> bool:
    """Whether a search of another kind tried the same images: a probe, or an attack with or without gradients."""
    climbed, searched = bool(_climbs(evidence)), bool(_searches(evidence))
    return any(one.tried for one in evidence.probes or ()) or (climbed and searched) or _staged(evidence)


def _unusable(evidence: Evidence) -> list[str]:
    """Why the figures say nothing about robustness, whatever the indicators say."""
    found = [] if evidence.finished else ["The run is unfinished: attacks or images are missing."]
    found += evidence.failures
    kinds = {evidence.kinds.get(outcome.attack) for outcome in evidence.outcomes}
    if not any(outcome.recorded.any() for outcome in evidence.outcomes):
        found.append("No attack that keeps to its budget has a record.")
    elif evidence.gradients and "iterative" not in kinds and _open(evidence):
        found.append(f"No attack with several gradient steps ran. Write {STRONGEST} in [[attacks]].")
    return found


def _open(evidence: Evidence) -> bool:
    """Whether at some budget no attack beat some image, so that something may have been missed."""
    if evidence.survivors or not evidence.outcomes:
        return bool(evidence.survivors)
    eligible = np.any([one.eligible for one in evidence.outcomes], axis=0)
    nearest = reach(evidence.outcomes, [one.success for one in evidence.outcomes], len(eligible))
    smallest = min((float(eps) for one in evidence.outcomes for eps in one.eps), default=np.inf)
    return bool((eligible & ~beaten_within(nearest, smallest)).any())


def _indicators(evidence: Evidence) -> list[Indicator]:
    """What fired. A cause that explains the others stands alone: with random decisions any attack wins by luck."""
    if evidence.unstable:
        return [Indicator(UNSTABLE, "fired", evidence.unstable, FIXES[UNSTABLE])]
    found = [*_silent(evidence), *_unavailable(evidence), *_probed(evidence)]
    # What noise wins is among what more steps or another gradient wins; then it is no cause of its own.
    explained = any(one.name in (INCOMPLETE, TRANSFER, UNAVAILABLE) and one.sign == "fired" for one in found)
    named = {one.name for one in found}
    more = [] if explained else [*_weak(evidence), *_searched(evidence)]
    return [*found, *(one for one in more if one.name not in named)]


def _silent(evidence: Evidence) -> list[Indicator]:
    broken, total = _share([np.asarray(outcome.non_finite.any(axis=0)) for outcome in evidence.outcomes], evidence)
    if not broken:
        return []
    text = (
        f"For {broken} of {total} images that no attack beat, the model returned NaN or infinity for some iterate. "
        "Such an output is not a decision, so these images do not count as beaten although the model failed."
    )
    return [Indicator(SILENT, _sign(broken, total, MANY), text, FIXES[SILENT])]


def _unavailable(evidence: Evidence) -> list[Indicator]:
    if evidence.blocked:
        return [Indicator(UNAVAILABLE, "fired", evidence.blocked, FIXES[UNAVAILABLE])]
    if not evidence.outcomes:
        return []
    stuck, total = _share([blocked(evidence.outcomes, evidence.outcomes[0].eligible.size)], evidence)
    if not stuck:
        return []
    text = f"For {stuck} of {total} images that no attack beat, no gradient reached the image in any gradient attack."
    return [Indicator(UNAVAILABLE, _sign(stuck, total, MANY), text, FIXES[UNAVAILABLE])]


def _share(flags: Sequence[Bools], evidence: Evidence) -> tuple[int, int]:
    """How many of the images that nothing beat have a flag in some attack, and how many there are."""
    if not evidence.outcomes:
        return 0, 0
    eligible = np.any([outcome.eligible & outcome.covered for outcome in evidence.outcomes], axis=0)
    left = eligible & ~np.any([outcome.success.any(axis=0) for outcome in evidence.outcomes], axis=0)
    flagged = np.any(flags, axis=0)
    return int((left & flagged).sum()), int(left.sum())


def _weak(evidence: Evidence) -> list[Indicator]:
    """Images that only noise or a single step beat, at some budget."""
    weak = [one for one in evidence.outcomes if evidence.kinds.get(one.attack) == "single-step" or _noise(one)]
    alone, total = _alone([(one, one.success) for one in weak], [(one, one.success) for one in _climbs(evidence)])
    if not alone:
        return []
    text = f"{alone} of {total} beaten images were beaten by random noise or one step only."
    return [Indicator(WEAK, _sign(alone, total, MANY), text, FIXES[WEAK])]


def _searched(evidence: Evidence) -> list[Indicator]:
    """Images that only a search without gradient beat, an attack or a stage of one, at some budget; a few are usual."""
    free = _searches(evidence)
    climbs = [(one, np.isin(one.stage, evidence.searches.get(one.attack, ()))) for one in _climbs(evidence)]
    alone, total = _alone(
        [*((one, one.success) for one in free), *((one, one.success & searched) for one, searched in climbs)],
        [(one, one.success & ~searched) for one, searched in climbs],
    )
    if _sign(alone, total, OFTEN) != "fired":
        return []
    text = f"{alone} of {total} beaten images were beaten only by a search without gradients."
    return [Indicator(FREE, "fired", text, FIXES[FREE])]


def _climbs(evidence: Evidence) -> list[Outcome]:
    return [one for one in evidence.outcomes if evidence.kinds.get(one.attack) == "iterative"]


def _searches(evidence: Evidence) -> list[Outcome]:
    return [one for one in evidence.outcomes if evidence.kinds.get(one.attack) == "gradient-free" and not _noise(one)]


def _alone(some: Sequence[tuple[Outcome, Bools]], climbs: Sequence[tuple[Outcome, Bools]]) -> tuple[int, int]:
    """At the budget where it happens most: images that only `some` beat and no climb, and all beaten ones.

    Args:
        some: attacks, and which images they beat [budget, image].
        climbs: the same for attacks that follow gradients.
    """
    most = (0, 0)
    for eps in sorted({float(eps) for one, _ in some for eps in one.eps}):
        fell, best = ([won[one.eps == eps] for one, won in part if eps in one.eps] for part in (some, climbs))
        if fell and best:
            beaten, climbed = np.any(np.concatenate(fell), axis=0), np.any(np.concatenate(best), axis=0)
            most = max(most, (int((beaten & ~climbed).sum()), int((beaten | climbed).sum())))
    return most


def _noise(outcome: Outcome) -> bool:
    """Random images: a search without gradient that stops after a few tries."""
    return not outcome.backwards.any() and int(outcome.forwards.max(initial=0)) <= 50


def _probed(evidence: Evidence) -> list[Indicator]:
    found: dict[str, Indicator] = {}
    for one in evidence.probes or ():
        if (made := _of_probe(one, evidence.eps)) is None:
            continue
        if made.name not in found or (found[made.name].sign == "doubt" and made.sign == "fired"):
            found[made.name] = made
    # Another gradient, or none, won: then it is known that this one misleads.
    if any(one.sign == "fired" and name != MISLEADING for name, one in found.items()):
        found.pop(MISLEADING, None)
    return list(found.values())


def _of_probe(one: ProbeOutcome, eps: str) -> Indicator | None:
    """The indicator of a probe; None if it shows nothing."""
    name, hits = OF_PROBE[one.probe], one.won
    fix = FIXES_OF_PROBE.get(one.probe, FIXES[name])
    if one.probe == "gradient check":
        text = (
            f"On {hits} of {one.tried} images that no attack beat, the gradient does not describe how the outputs "
            "change, so attacks that follow it climb another function."
        )
        fired = hits >= SEVERAL and hits >= HALF * one.tried
        return Indicator(name, "fired", text, fix) if fired else None
    if one.probe == "large radius":
        hits = one.tried - one.won
        text = (
            f"Of {one.tried} images that no attack beat, {one.attack} did not beat {hits}, although any image can "
            "become plain grey there."
        )
    else:
        text = (
            f"{hits} of {one.tried} images that no attack of the plan beat at eps {eps} fell to a probe: {one.attack}."
        )
    return Indicator(name, _sign(hits, one.tried, OFTEN), text, fix) if hits else None


def _sign(hits: int, total: int, often: float) -> Sign:
    return "fired" if hits >= SEVERAL and hits >= often * total else "doubt"


def _missing(evidence: Evidence) -> tuple[str, ...]:
    """The evidence that a high quality needs and that is not there."""
    if not _open(evidence) or evidence.unstable:
        return ()
    if evidence.probes is None:
        return (
            "The images that no attack beat were not probed (quality.images is 0, or an older palpate made the run), "
            "so it is not known whether more steps, more starts, a surrogate, a gradient-free search or a large "
            "radius would win. Run the plan into a new folder with quality.images = 8.",
        )
    found = []
    tried = {one.probe: one.tried for one in evidence.probes}
    if not evidence.gradients:
        found.append(
            "The model gives no gradient, or the plan has no attack that follows it: only searches ran, and they "
            f"need many queries to find what gradients find. Write {SEARCH}. "
            + (BEHIND if _staged(evidence) else f"Or write {STRONGEST}, if the model has gradients.")
        )
    most = max(tried.values(), default=0)
    if most < min(SAMPLE, evidence.survivors):
        images = f"Only {most} image{' was' if most == 1 else 's were'}" if most else "No image was"
        fix = f"quality.share = {evidence.share:.3g}" if evidence.share else "quality.images = 8"
        cheap = ", because probes may spend only a share of the passes of the attacks" if evidence.share else ""
        found.append(f"{images} probed{cheap}; write {fix}.")
    return tuple(found)


def _clean(evidence: Evidence) -> str:
    tried = max((one.tried for one in evidence.probes or ()), default=0)
    ran = [_TRIED[one.probe] for one in evidence.probes or () if one.probe in _TRIED]
    before = [_TRIED[probe] for probe in evidence.done if probe in _TRIED]
    earlier = f" They had also withstood what {evidence.by} contains: {', '.join(before)}." if before else ""
    return (
        f"{tried} of the {evidence.survivors} images that no attack beat at eps {evidence.eps} were attacked again, "
        f"and nothing beat them: {', '.join(ran)}.{earlier} At a large radius every one of them was beaten."
    )


def precision(low: float | None, high: float | None, total: int, groups: int, clustered: bool) -> Judgement[Degree]:
    """The width of the widest 95% interval of a goal's figures.

    Args:
        low: its lower end; None if there is no interval.
        high: its upper end.
        total: images behind the figure.
        groups: patients behind it.
        clustered: patients have several images.
    """
    if low is None or high is None or not total:
        return Judgement("low", ("No image could be attacked, so there is no figure.",))
    width = high - low
    images = f"{total} image{'' if total == 1 else 's'}" + (f" of {groups} patients" if clustered else "")
    reasons = [f"The widest 95% interval is from {low:.1%} to {high:.1%} ({images})."]
    degree: Degree = "high" if width <= NARROW else "medium" if width <= WIDE else "low"
    if degree != "high":
        reasons.append(f"Add images: about {_needed(total, width)} would bring it to {NARROW:.0%}.")
    if total < FEW_IMAGES:
        degree = "low"
        reasons.append(f"Fewer than {FEW_IMAGES} images cannot give a rate.")
    if clustered and groups < FEW_GROUPS:
        degree = "low" if degree == "low" else "medium"
        reasons.append(f"The images come from only {groups} patients; with so few the intervals are too narrow.")
    return Judgement(degree, tuple(reasons))


def _needed(total: int, width: float) -> int:
    """Images for an interval of width `NARROW`: widths fall with the square root of the number."""
    needed = total * (width / NARROW) ** 2
    digits = 10 ** max(len(str(int(needed))) - 2, 0)
    return int(np.ceil(needed / digits) * digits)
