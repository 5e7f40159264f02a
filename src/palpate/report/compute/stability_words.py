"""What traces show, in plain sentences made from numbers. The thresholds stand here, and in the docs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from palpate.report.model.schema_stability import AttackStability, Beside
from palpate.report.model.typed import Figure
from palpate.report.model.words import percent, ratio

SWITCHED_OFF = "The plan switched the tracing of attacks off (images = 0 in [stability]), so how they ran is not known."
NOT_KNOWN = "This run is of a palpate that did not trace attacks, so how they ran is not known."

HEADING = 0.9
"""Cosine of the change at half the steps and the final one, from which an attack ends where it was heading."""
UNRELATED = math.sqrt(0.5)
"""The same cosine of a path from the clean image whose steps have nothing in common: |d_t| grows as sqrt(t)."""
UNSETTLED = 0.75
"""Share of the steps until the disagreement with the final answer has halved, from which the run has not settled."""
SWINGING = -0.1
"""Mean cosine of successive steps below which they go back and forth."""
ALIKE = 0.1
"""Spread of the final change over starts, in budgets, below which all starts end in nearly the same change."""

_UNTRACED = {
    "no gradient": "Not traced: it follows no gradient, so there are no steps to watch.",
    "no image": "Not traced: it could win none of the images that were chosen.",
    "unfinished": "Not traced yet.",
}


def sentence(one: AttackStability, norm: str, *, say_still: bool = True) -> str:
    """What the traces of one attack show.

    Args:
        one: its figures.
        norm: of the threat.
        say_still: say so where it draws nothing at random.
    """
    if one.state != "traced":
        return one.sentence or _UNTRACED[one.state]
    starts = [_starts(one, norm)] if one.draws or say_still else []
    return " ".join(f"{part}." for part in (_course(one), *_stabilised(one), *starts))


def still(attacks: Sequence[AttackStability]) -> str:
    """Which attacks draw nothing at random, in one sentence; empty where none was traced."""
    names = [one.attack for one in attacks if one.state == "traced" and not one.draws]
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} draws nothing at random, so its starts are the same and one was traced."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} draw nothing at random, so their starts are the same and one of each was traced."


def heads(one: AttackStability) -> bool:
    """Whether an attack ends where it was heading at half its steps."""
    return _value(one.along("cos_final_half")) >= HEADING


def unsettled(one: AttackStability) -> bool:
    """Whether the model's answer was still far from its final one late in the run."""
    return _value(one.along("half_time")) >= UNSETTLED


def _course(one: AttackStability) -> str:
    if one.steps == 1:
        return "It takes one step, so it has no course"
    half, early = one.along("cos_final_half"), one.along("half_time")
    if half is None or half.value is None:
        return "It did not move"
    text = f"at half its steps its change points {{}}to the final one (cosine {ratio(half.value)}"
    if heads(one):
        text = f"It ends where it was heading: {text.format('')})"
    elif half.value > UNRELATED:
        text = f"It bends on its way: {text.format('only in part ')})"
    else:
        text = f"It changes its course: {text.format('little ')}; steps with nothing in common give {ratio(UNRELATED)})"
    swing = one.along("cos_step")
    if _value(swing) < SWINGING:
        text += f"; successive steps go back and forth (mean cosine {ratio(_value(swing))})"
    if early is None or early.value is None:
        return text
    if unsettled(one):
        return f"{text}. The model's answer never settled: it was half way to the final one only {_after(early)}"
    return f"{text}. The model's answer is half way to the final one {_after(early)}"


def _after(early: Figure) -> str:
    return f"after {percent(early.value).removesuffix('%').split('.')[0]}% of the steps"


def _stabilised(one: AttackStability) -> Iterator[str]:
    if one.weight is None:
        return
    beside = one.beside
    if not one.weight:
        yield "Its stabilisation term has the weight 0 and does nothing"
    elif beside is None:
        yield "No attack without its stabilisation term was traced beside it"
    elif beside.same_path == beside.images:
        images = _of(beside.images, beside.images)
        yield f"On {images} it takes the very path of {beside.attack}: its term changes nothing"
    else:
        if beside.same_path:
            yield f"On {_of(beside.same_path, beside.images)} it takes the very path of {beside.attack}"
        yield _nearer(beside, "its answer")


def _nearer(beside: Beside, answer: str) -> str:
    nearer, images = beside.nearer, beside.images
    if nearer is None:
        reason = "was not measured (smoothed = false)"
        if not beside.comparable:
            reason = f"cannot be held against {beside.attack}, whose trace smooths otherwise"
        return f"How near {answer} stays to that of the smoothed image {reason}"
    text = f"{answer[0].upper()}{answer[1:]} is nearer to that of the smoothed image than under {beside.attack} on "
    text += _of(nearer, images)
    if nearer == images:
        return f"{text}, as its term asks"
    return text if 2 * nearer > images else f"{text}: its term does not reach what it asks"


def _starts(one: AttackStability, norm: str) -> str:
    if not one.draws:
        return "It draws nothing at random, so its starts are the same and one was traced"
    if one.starts < 2:
        return "One start was traced, so how much others would differ is not known"
    differing, change = one.restarts("differing"), one.restarts("change")
    if differing is None or not differing.count:
        text = f"All {one.starts} starts agree on which images are beaten"
    else:
        text = f"On {_of(differing.count, differing.total or 0)} some of the {one.starts} starts win and others do not"
    if change is None or change.value is None:
        return text
    text += f"; their final changes spread by {ratio(change.value)} eps at a pixel"
    if change.value < ALIKE:
        return f"{text}, so they are nearly the same"
    # Only in an L-inf ball is eps the size of a change at a pixel.
    return f"{text} (signs with nothing in common: {ratio(independent(one.starts))})" if norm == "linf" else text


def independent(starts: int) -> float:
    """Mean standard deviation over starts, in budgets, of independent fair signs: what unrelated changes would give.

    >>> round(independent(2), 3)
    0.707
    """
    spreads = [2 * math.sqrt(k * (starts - k) / (starts * (starts - 1))) for k in range(starts + 1)]
    return math.fsum(math.comb(starts, k) * spread for k, spread in enumerate(spreads)) / 2.0**starts


def sentences(attacks: Sequence[AttackStability]) -> list[str]:
    """What the traces show of all attacks together."""
    traced = [one for one in attacks if one.state == "traced"]
    if not traced:
        unread = any(one.state == "damaged" for one in attacks)
        return ["No trace can be read." if unread else "No attack was traced."]
    moving = [one for one in traced if (one.steps or 0) > 1]
    texts = [_together(moving)] if moving else ["The attacks traced take one step each, so none has a course."]
    stabilised = [one for one in traced if one.beside is not None and one.weight]
    return texts + [_held(one) for one in stabilised]


def _together(moving: Sequence[AttackStability]) -> str:
    late = [one.attack for one in moving if unsettled(one)]
    if len(moving) == 1:
        ends = "ends" if heads(moving[0]) else "does not end"
        return f"The attack traced over several steps {ends} where it was heading half-way{_late(late, 1)}."
    heading = sum(heads(one) for one in moving)
    ends = {0: "none ends", 1: "1 ends", len(moving): "all end"}.get(heading, f"{heading} end")
    were = "it was" if heading < 2 else "they were"
    return (
        f"Of {len(moving)} attacks traced over several steps, {ends} where {were} heading half-way"
        f"{_late(late, len(moving))}."
    )


def _late(late: Sequence[str], moving: int) -> str:
    if not late:
        answers = "the model's answers were" if moving > 1 else "the model's answer was"
        return f"; {answers} half way to the end before three quarters of the steps"
    return f"; {', '.join(late)} never settled"


def _held(one: AttackStability) -> str:
    beside = one.beside
    assert beside is not None
    if beside.same_path == beside.images:
        return f"{one.attack} takes the very path of {beside.attack} on {_of(beside.images, beside.images)}."
    return f"{_nearer(beside, f'the answer under {one.attack}')}."


def _of(count: int, images: int) -> str:
    if count == images:
        return "the one image" if images == 1 else f"all {images} images"
    return f"{count or 'none'} of {images} images"


def _value(figure: Figure | None) -> float:
    return math.nan if figure is None or figure.value is None else figure.value
