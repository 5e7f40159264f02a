"""Attacks that survive post-processing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from palpate.attacks.ascent import Ascent
from palpate.attacks.minimum.norm import MinimumNorm
from palpate.attacks.transforms import name_of
from palpate.contracts import Attack
from palpate.errors import InputError
from palpate.postprocessing import PostProcessing, parse
from palpate.units import Scale


def robust(attack: Attack, names: Sequence[str | PostProcessing], scale: Scale) -> Attack:
    """The attack that also maximises its objective after each of these post-processing steps; see `Ascent.robust_to`.

    Without names it is the attack itself. A step that the attack already has (`steadfast`) is kept, and counts once.

    Args:
        attack: a gradient ascent.
        names: such as `jpeg75`, `blur1`; `palpate list post-processing` has them all. Steps may be given too.
        scale: what the values of the images mean.

    Raises:
        InputError: an attack that follows no gradient, an unknown name, or one that is given twice.
    """
    if not names:
        return attack
    if not isinstance(attack, Ascent):
        listed = " or ".join(name if isinstance(name, str) else name.name for name in names)
        why = "searches the smallest change" if isinstance(attack, MinimumNorm) else "follows no gradient"
        raise InputError(
            f"robust_to: {type(attack).__name__} {why}, so it cannot be made robust to "
            f"{listed}. Leave robust_to out, or use a gradient attack such as pgd, apgd-margin or smia; "
            "survival is measured in both cases."
        )
    try:
        handlings = tuple(parse(name, scale) if isinstance(name, str) else name for name in names)
    except InputError as error:
        raise InputError(f"robust_to: {error}") from error
    for handling in handlings:
        if handlings.count(handling) > 1:
            raise InputError(f"robust_to: {handling.name} is named twice. Name each step once.")
    named = {handling.name for handling in handlings}
    own = tuple(step for step in attack.robust_to if name_of(step) not in named)
    return replace(attack, robust_to=(*own, *handlings))
