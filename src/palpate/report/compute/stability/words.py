"""What traces show, in plain sentences made from numbers. The thresholds are here and in the docs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from palpate.report.model.schema_stability import AttackStability, PlainComparison
from palpate.report.model.typed import Figure
from palpate.report.model.words import percent, ratio

SWITCHED_OFF = "The plan switched tracing off (images = 0 in [stability]), so it is not known how the attacks ran."
NOT_KNOWN = "An older palpate made this run and did not trace attacks, so it is not known how they ran."

SAME_DIRECTION = 0.9
"""Cosine of the change at half the steps and the final one, from which an attack keeps its direction."""
UNRELATED = math.sqrt(0.5)
"""The same cosine for a path from the clean image with unrelated steps: |d_t| grows as sqrt(t)."""
UNSETTLED = 0.75
"""Share of the steps until the disagreement with the final answer has halved; from here on the run has not settled."""
SWINGING = -0.1
"""Mean cosine of successive steps below which they go back and forth."""
NEARLY_SAME = 0.1
"""Spread of the final change over starts, in budgets; below it all starts end in nearly the same change."""

_UNTRACED = {
    "no gradient": "Not traced: it does not follow a gradient, so there are no steps to record.",
    "no image": "Not traced: none of the chosen images was eligible for it.",
    "unfinished": "Not traced yet.",
}


def sentence(one: AttackStability, norm: str, *, say_still: bool = True) -> str:
    """What the traces of one attack show.

    Args:
        one: its figures.
        norm: of the threat.
        say_still: add a sentence where it draws no random numbers.
    """
    if one.state != "traced":
        return one.sentence or _UNTRACED[one.state]
    starts = [_starts(one, norm)] if one.draws or say_still else []
    stage = [f"Its stage '{one.stage}' was traced"] if one.stage else []
    return " ".join(f"{part}." for part in (*stage, _course(one), *_stabilised(one), *starts))


def still(attacks: Sequence[AttackStability]) -> str:
    """Which attacks draw no random numbers, in one sentence; empty where none was traced."""
    names = [one.attack for one in attacks if one.state == "traced" and not one.draws]
    if not names:
        return ""
    if len(names) == 1:
        return f"{names[0]} draws no random numbers, so its starts are the same and one was traced."
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} draw no random numbers, so their starts are the same and one of each was traced."


def keeps_direction(one: AttackStability) -> bool:
    """Whether the change points in nearly the same direction at half the steps and at the end."""
    return _value(one.along("cos_final_half")) >= SAME_DIRECTION


def unsettled(one: AttackStability) -> bool:
    """Whether the model's answer was still far from its final one late in the run."""
    return _value(one.along("half_time")) >= UNSETTLED


def _course(one: AttackStability) -> str:
    if one.steps == 1:
        return "It takes one step, so it has no path to describe"
    half, early = one.along("cos_final_half"), one.along("half_time")
    if half is None or half.value is None:
        return "It did not change the image"
    cosine = f"after mid-run (cosine {ratio(half.value)}"
    if keeps_direction(one):
        text = f"Its direction hardly changed {cosine})"
    elif half.value > UNRELATED:
        text = f"Its direction changed somewhat {cosine})"
    else:
        text = f"Its direction changed strongly {cosine}; unrelated steps would give {ratio(UNRELATED)})"
    swing = one.along("cos_step")
    if _value(swing) < SWINGING:
        text += f"; successive steps go back and forth (mean cosine {ratio(_value(swing))})"
    if early is None or early.value is None:
        return text
    if unsettled(one):
        return f"{text}. The model's answer never settled: it was half-way to the final one only {_after(early)}"
    return f"{text}. The model's answer was half-way to the final one {_after(early)}"


def _after(early: Figure) -> str:
    return f"after {percent(early.value).removesuffix('%').split('.')[0]}% of the steps"


def _stabilised(one: AttackStability) -> Iterator[str]:
    if one.weight is None:
        return
    beside = one.beside
    if not one.weight:
        yield "Its stabilisation term has the weight 0 and has no effect"
    elif beside is None:
        yield "No attack without a stabilisation term was traced to compare it with"
    elif beside.same_path == beside.images:
        images = _of(beside.images, beside.images)
        yield f"On {images} it takes exactly the path of {beside.attack}: its term changes nothing"
    else:
        if beside.same_path:
            yield f"On {_of(beside.same_path, beside.images)} it takes exactly the path of {beside.attack}"
        yield _nearer(beside, "its answer")


def _nearer(beside: PlainComparison, answer: str) -> str:
    nearer, images = beside.nearer, beside.images
    if nearer is None:
        reason = "was not measured (smoothed = false)"
        if not beside.comparable:
            reason = f"cannot be compared with {beside.attack}, whose trace smooths differently"
        return f"How near {answer} stays to that of the smoothed image {reason}"
    text = f"{answer[0].upper()}{answer[1:]} is nearer to that of the smoothed image than under {beside.attack} on "
    text += _of(nearer, images)
    if nearer == images:
        return f"{text}, as its term should make it"
    if 2 * nearer > images:
        return text
    on = "this image" if images == 1 else f"these {images} images"
    return f"The stabilisation term had no measurable effect on {on}: {answer} is nearer to that of the smoothed " + (
        f"image than under {beside.attack} on {_of(nearer, images)}"
    )


def _starts(one: AttackStability, norm: str) -> str:
    if not one.draws:
        return "It draws no random numbers, so its starts are the same and one was traced"
    if one.starts < 2:
        return "One start was traced, so it is not known how much others would differ"
    differing, change = one.restarts("differing"), one.restarts("change")
    if differing is None or not differing.count:
        text = f"All {one.starts} starts agree on which images are beaten"
    else:
        text = f"On {_of(differing.count, differing.total or 0)} some of the {one.starts} starts win and others do not"
    if change is None or change.value is None:
        return text
    text += f"; the spread of their final changes at a pixel is {ratio(change.value)} eps"
    if change.value < NEARLY_SAME:
        return f"{text}, so they are nearly the same"
    # Only in an L-inf ball is eps the size of a change at a pixel.
    return f"{text} (unrelated changes would give {ratio(independent(one.starts))})" if norm == "linf" else text


def independent(starts: int) -> float:
    """Mean standard deviation over starts, in budgets, of independent random signs: what unrelated changes would give.

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
    texts = [_together(moving)] if moving else ["All traced attacks take one step, so there is no path to describe."]
    stabilised = [one for one in traced if one.beside is not None and one.weight]
    return texts + [_held(one) for one in stabilised]


def _together(moving: Sequence[AttackStability]) -> str:
    late = [one.attack for one in moving if unsettled(one)]
    if len(moving) == 1:
        kept = "kept" if keeps_direction(moving[0]) else "did not keep"
        return f"The attack that was traced over several steps {kept} its direction after mid-run{_late(late, 1)}."
    steady = sum(keeps_direction(one) for one in moving)
    which = {0: f"None of {len(moving)}", len(moving): f"All {len(moving)}"}.get(steady, f"{steady} of {len(moving)}")
    return f"{which} attacks kept their direction after mid-run{_late(late, len(moving))}."


def _late(late: Sequence[str], moving: int) -> str:
    if not late:
        answers = "the model's answers were half-way to the final ones"
        answers = answers if moving > 1 else "the model's answer was half-way to the final one"
        return f"; {answers} before three quarters of the steps"
    return f"; under {', '.join(late)} the model's answer never settled"


def _held(one: AttackStability) -> str:
    beside = one.beside
    assert beside is not None
    if beside.same_path == beside.images:
        return f"{one.attack} takes exactly the path of {beside.attack} on {_of(beside.images, beside.images)}."
    return f"{_nearer(beside, f'the answer under {one.attack}')}."


def _of(count: int, images: int) -> str:
    if count == images:
        return "the one image" if images == 1 else f"all {images} images"
    return f"{count or 'none'} of {images} images"


def _value(figure: Figure | None) -> float:
    return math.nan if figure is None or figure.value is None else figure.value
