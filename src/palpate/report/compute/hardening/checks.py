"""The checks of a hardening, each from the records of both runs and from what the hardening measured itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from palpate.metrics.differences import difference
from palpate.metrics.intervals import Origin
from palpate.report.compute.compare.measured import Measured
from palpate.report.compute.compare.sentences import delta_in_words
from palpate.report.compute.hardening import given as names
from palpate.report.compute.hardening.given import Given, GivenMeasurement
from palpate.report.compute.hardening.outcomes import Beating
from palpate.report.compute.hardening.verdict import COUNT, NEAR_ZERO, SHARE, TIMES, Check
from palpate.report.model.families import CLIMB, family
from palpate.report.model.schema_compare import Change
from palpate.report.model.schema_hardening import State
from palpate.report.model.words import percent, points
from palpate.units import counted

_EXACT = 1e-9
_NO_EFFECT, _ALL = 0.9, 0.02
"""An attack that leaves more than the first share of the old model's right images, or less than the second of both
models', says nothing about a gain."""


def gain(robust: Change | None) -> Check:
    """The gain in the worst case over all attacks is established, by the rule that every comparison uses."""
    name = "gain"
    if robust is None or robust.difference.value is None:
        return Check(name, "not measured", "No untargeted attack has this budget in both runs.")
    change = robust.difference
    figures = {"change": change.value, "low": change.low, "high": change.high, "p": robust.p_holm}
    real = robust.reading == "better"
    text = (
        f"The worst case over all attacks changes from {percent(robust.first.value)} to {percent(robust.second.value)}"
    )
    end = "" if real else ", so a gain is not shown"
    return Check(name, "passed" if real else "refused", f"{text}: {delta_in_words(robust)}{end}.", figures)


def clean_floor(clean: Change | None, floor: float) -> Check:
    """Clean accuracy loses at most what was allowed: the whole interval is above the floor (non-inferiority)."""
    name = "clean floor"
    if clean is None or clean.difference.value is None:
        return Check(name, "not measured", "The runs have no clean accuracy.")
    value, low = clean.difference.value, clean.difference.low
    figures = {"change": value, "low": low, "floor": floor}
    allowed = points(floor).removeprefix("+")
    text = f"Clean accuracy changes by {delta_in_words(clean)}; a loss of {allowed} points was allowed."
    if value < -floor - _EXACT:
        return Check(name, "refused", text, figures)
    if low is None:
        return Check(name, "not shown", f"{text} There is no interval, so a larger loss is not excluded.", figures)
    if low >= -floor - _EXACT:
        return Check(name, "passed", f"{text} The interval excludes a larger one.", figures)
    loss = points(-low).removeprefix("+")
    text += f" These images do not exclude a loss of up to {loss} points.{_wanted(clean, floor)}"
    return Check(name, "not shown", text, figures)


def _wanted(clean: Change, floor: float) -> str:
    """How many images would exclude it: an interval of n images is as wide as 1 / sqrt(n)."""
    value, low, images = clean.difference.value, clean.difference.low, clean.first.total
    if value is None or low is None or not images or value + floor < _EXACT:
        return ""
    wanted = images * ((value - low) / (value + floor)) ** 2
    digits = 10 ** max(len(str(int(wanted))) - 2, 0)
    return (
        f" About {math.ceil(wanted / digits) * digits:,} images like these would exclude it, if nothing else changes."
    )


def many_steps(before: Beating, after: Beating) -> Check:
    """The gain also exists against attacks of many steps: after collapsed training it exists against one step only."""
    name = "many steps"
    many = before.of_kind("iterative"), after.of_kind("iterative")
    if not (many[0].names and many[1].names):
        return Check(name, "not measured", "No attack with several steps has this budget, and one step proves nothing.")
    shares = before.left(many[0]), after.left(many[1])
    resampling = before.measured.reading.resampling
    found = difference(Origin(shares[0], resampling), Origin(shares[1], resampling))
    value, low = found.change.value, found.change.low
    figures = {"many steps before": shares[0].value, "many steps after": shares[1].value, "change": value, "low": low}
    one = before.of_kind("single-step"), after.of_kind("single-step")
    beside = ""
    if one[0].names and one[1].names:
        single = before.left(one[0]).value, after.left(one[1]).value
        figures |= {"one step before": single[0], "one step after": single[1]}
        beside = f"; against one step it is {percent(single[0])} before and {percent(single[1])} after"
    real = bool(value > 0 and low > 0)
    text = (
        f"Against many steps, {percent(shares[0].value)} are left before and {percent(shares[1].value)} after{beside}."
    )
    if not real and beside and figures["one step after"] > figures["one step before"]:
        text += " The gain exists against one step only: single-step training has collapsed."
    return Check(name, "passed" if real else "refused", text, figures)


def gradients(after: Beating) -> Check:
    """The attacks found gradients to follow."""
    name, blocked, asked = "gradients", 0, 0
    for _, outcome in after.attacks():
        tried = outcome.attacked & (outcome.backwards > 0)
        blocked += int((outcome.blocked_gradient & tried).sum())
        asked += int(tried.sum())
    if not asked:
        return Check(name, "not measured", "No attack followed a gradient of the model after hardening.")
    share = blocked / asked
    text = f"In {percent(share)} of the climbs the gradient was exactly zero."
    return Check(name, "refused" if share > SHARE else "passed", text, {"blocked": share})


def no_gradients(after: Beating, given: Given) -> Check:
    """A search without gradients finds nothing that the white box missed: else gradients are masked."""
    name, states, texts, figures = "search without gradients", list[State](), list[str](), dict[str, float | None]()
    free, white = after.without_gradients(), after.white_box()
    among = free.among & white.among
    if free.known and white.known and among.any():
        total, only = int(among.sum()), int((free.hits & ~white.hits & among).sum())
        fell, by_white = int((free.hits & among).sum()), int((white.hits & among).sum())
        more = _more(only, total) or _more(fell - by_white, total)
        states.append("refused" if more else "passed")
        texts.append(
            f"Of {counted(total, 'image')} that could be attacked, the white box beats {by_white}, and the search "
            f"without gradients ({', '.join(free.names)}) {only} others."
        )
        figures |= {"images": total, "white box": by_white, "only without gradients": only}
    _beside(given.pair(names.WHITE_BOX, names.NO_GRADIENTS), "a search without gradients", states, texts, figures)
    missing = "No search without gradients (square, hopskipjump, strongest) ran beside the white box."
    return _joined(name, states, texts, figures, missing)


def transfer(after: Beating, given: Given) -> Check:
    """Images that beat the old model do not beat the new one more often than the white box."""
    name, states, texts, figures = "images against the old model", list[State](), list[str](), dict[str, float | None]()
    moved, white = after.of_family("transfer"), after.white_box()
    among = moved.among & white.among
    if moved.known and white.known and among.any():
        total, only = int(among.sum()), int((moved.hits & ~white.hits & among).sum())
        states.append("refused" if _more(only, total) else "passed")
        texts.append(
            f"Of {counted(total, 'image')}, images made against another model beat {only} that the white box does not."
        )
        figures |= {"images": total, "only transferred": only}
    pair = given.pair(names.WHITE_BOX, names.OLD_IMAGES) or given.pair(names.MANY_STARTS, names.OLD_IMAGES)
    _beside(pair, "images made against the old model", states, texts, figures)
    missing = "Images that beat the old model were not tested on the new one."
    return _joined(name, states, texts, figures, missing)


def _beside(
    pair: tuple[GivenMeasurement, GivenMeasurement] | None,
    what: str,
    states: list[State],
    texts: list[str],
    figures: dict[str, float | None],
) -> None:
    """A measurement of the hardening: the share that the white box leaves, and the share that another attack leaves."""
    if pair is None:
        return
    white, other = pair
    assert white.after is not None and other.after is not None
    more = _more(round((white.after - other.after) * other.images), other.images)
    states.append("refused" if more else "passed")
    texts.append(
        f"On {counted(other.images, 'image')} the white box leaves {percent(white.after)}, {what} "
        f"{percent(other.after)}."
    )
    figures |= {f"left by {white.name}": white.after, f"left by {other.name}": other.after}


def _more(count: int, total: int) -> bool:
    """Whether an attack finds more than another one, beyond a few images by chance."""
    return count >= max(COUNT, SHARE * total)


def _joined(
    name: str, states: Sequence[State], texts: Sequence[str], figures: dict[str, float | None], missing: str
) -> Check:
    """One check from several measurements: one that refuses decides."""
    if not states:
        return Check(name, "not measured", missing)
    return Check(name, "refused" if "refused" in states else "passed", " ".join(texts), figures)


def far_budget(after: Measured, eps: float, given: Given) -> Check:
    """At four times the budget the model falls; one that does not, hides from attacks."""
    name, left = "four times the budget", dict[str, float]()
    largest = max((one for one in after.shared.eps if one <= TIMES * eps * (1 + 1e-9)), default=None)
    if largest is not None:
        beating = Beating(after, largest)
        share = beating.left(beating.everything())
        if share.total and (largest >= TIMES * eps * (1 - 1e-9) or share.value <= NEAR_ZERO):
            left[f"at {largest / eps:.3g} times the budget"] = share.value
    measured = given.one(names.FAR)
    # The hardening may have read its share from the same records; then it would say the same twice.
    if measured is not None and measured.after is not None and measured.after not in left.values():
        left[f"at 4 times the budget, on {counted(measured.images, 'image')}"] = measured.after
    if not left:
        return Check(name, "not measured", "No attack had four times the budget.")
    fallen = min(left.values()) <= NEAR_ZERO
    seen = "; ".join(f"{percent(value)} are left {where}" for where, value in left.items())
    text = f"{seen[0].upper()}{seen[1:]}; at most {percent(NEAR_ZERO)} should be."
    return Check(name, "passed" if fallen else "refused", text, dict(left))


def restarts(after: Beating, given: Given) -> Check:
    """More starts find nothing more."""
    name, states, texts, figures = "restarts", list[State](), list[str](), dict[str, float | None]()
    for few, many in _restarted(after):
        one, two = after.by(few), after.by(many)
        among = one.among & two.among
        total, more = int(among.sum()), int((two.hits & ~one.hits & among).sum())
        if total:
            states.append("refused" if _more(more, total) else "passed")
            texts.append(f"Of {counted(total, 'image')}, '{many}' with more starts beats {more} that '{few}' does not.")
            figures |= {"images": total, "only with more starts": more}
    _beside(given.pair(names.ONE_START, names.MANY_STARTS), "several starts", states, texts, figures)
    texts = [text.replace("the white box leaves", "one start leaves") for text in texts]
    return _joined(name, states, texts, figures, "No attack ran with one and with more starts.")


def _restarted(after: Beating) -> list[tuple[str, str]]:
    """Pairs of attacks that differ only in how often they start."""
    every = [attack for attack, _ in after.attacks() if isinstance(attack.parameters.get("restarts"), int)]
    rest = [{key: value for key, value in one.parameters.items() if key != "restarts"} for one in every]
    return [
        (one.name, two.name)
        for one, mine in zip(every, rest, strict=True)
        for two, theirs in zip(every, rest, strict=True)
        if (one.catalog, mine) == (two.catalog, theirs) and one.parameters["restarts"] < two.parameters["restarts"]
    ]


def other_families(before: Beating, after: Beating, given: Given) -> Check:
    """An attack of another family or norm does not undo the gain."""
    name, states, texts, figures = "other families", list[State](), list[str](), dict[str, float | None]()
    kinds = dict.fromkeys(family(attack.catalog) for attack, _ in after.attacks())
    for kind in kinds:
        if kind in {CLIMB, "noise", "several kinds"}:
            continue
        shares = before.left(before.of_family(kind)), after.left(after.of_family(kind))
        if all(share.total for share in shares):
            _undone(kind, shares[0].value, shares[1].value, states, texts, figures)
    other = given.one(names.OTHER_NORM)
    if other is not None and other.before is not None and other.after is not None:
        _undone(f"another norm, on {counted(other.images, 'image')}", other.before, other.after, states, texts, figures)
    missing = "No attack of another family or norm gave different results for the two models."
    return _joined(name, states, texts, figures, missing)


def _undone(
    what: str, was: float, now: float, states: list[State], texts: list[str], figures: dict[str, float | None]
) -> None:
    if np.isnan([was, now]).any() or was > _NO_EFFECT or max(was, now) < _ALL:
        return
    states.append("passed" if now > was else "refused")
    texts.append(f"Under {what}, {percent(was)} are left before and {percent(now)} after.")
    figures |= {f"{what}, before": was, f"{what}, after": now}
