"""Families of attacks: kinds that look for adversarial images in different ways."""

from __future__ import annotations

FAMILIES = {
    "square": "search without gradients",
    "hopskipjump": "search without gradients",
    "transfer": "transfer",
    "universal": "one change for all images",
    "fmn": "smallest change",
    "ddn": "smallest change",
    "alma-prox": "smallest change",
    "vafa": "frequencies",
    "noise": "noise",
    "strongest": "several kinds",
}
"""Families of attacks by their name in the catalogue; all others climb a gradient inside the ball."""
CLIMB = "climb of a gradient"
NOISE = "noise"


_SAID = {CLIMB: "follows the gradient", NOISE: "random changes", "several kinds": "several kinds of attack"}


def family(catalog: str) -> str:
    """The family of an attack, by its name in the catalogue.

    >>> family("square"), family("pgd")
    ('search without gradients', 'climb of a gradient')
    """
    return FAMILIES.get(catalog, CLIMB)


def said(catalog: str) -> str:
    """The family in the words of the page.

    >>> said("pgd")
    'follows the gradient'
    """
    return _SAID.get(family(catalog), family(catalog))
