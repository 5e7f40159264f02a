"""`[[attacks]]` and `[quality]` of a first plan: `strongest` decides the figures, noise is the reference."""

from __future__ import annotations

from palpate.audit.plan.toml_words import text_of

_HEAD = "# `palpate list attacks` shows all attacks, `palpate list attacks smia` the parameters of one."
_DECIDES = """\
# It decides the figures: several climbs, a search for the smallest change, a search without gradients. Each stage sees
# only the images that those before it left. An image that falls early is cheap; one that nothing beats costs {most}
# passes at each budget."""
_REFERENCE = "# The reference: random changes alone. If they beat as many images, the other figures show nothing."
_DEPTH = "# How far the score falls: this climb goes on to its last step, at every budget, also for beaten images."
_PUBLISHED = "# The stabilised attack of Qi et al. (ICLR 2021), and an attack whose changes survive blur and JPEG:"
_MOST = {"classes": "1,200 to 2,100", "findings": "1,700", "masks": "1,600", "boxes": "1,600"}
"""Passes of `strongest` on an image that it does not beat, at one budget."""
_CLIMBS = {"masks": "cospgd", "boxes": "pgd"}
"""A climb for scores that still fall after an image is beaten."""

QUALITY = """\
# After the attacks, images that nothing beat are attacked again in other ways: the report then says whether the attacks
# could have missed something. No figure changes.
[quality]
images = 8   # images of each goal; each costs about {each} passes. 0: the report never calls the attacks' quality high
share = 0.25 # at most this share of the passes of the goal's attacks; but 2 images are always probed
"""


def attack_part(kind: str, goals: tuple[str, ...] = (), proposed: tuple[str, ...] = ()) -> str:
    """`[[attacks]]` for a model with gradients.

    Args:
        kind: `classes`, `findings`, `masks` or `boxes`.
        goals: goals that are also attacked.
        proposed: goals that are written as comments.
    """
    # By default, masks and boxes are attacked at every budget to the last step: most of a thousand passes per image.
    rising = {"curve": "rising"} if kind in _CLIMBS else {}
    parts = [
        f"{_HEAD}\n{_DECIDES.format(most=_MOST[kind])}\n{_table('strongest', **rising)}",
        f"{_REFERENCE}\n{_table('noise')}",
    ]
    if kind in _CLIMBS:
        parts.append(f"{_DEPTH}\n{_table(_CLIMBS[kind], steps=20)}")
    tables = [_table("strongest", name=f"strongest: {goal}", goal=goal, **rising) for goal in (*goals, *proposed)]
    parts += tables[: len(goals)] + [_commented(table) for table in tables[len(goals) :]]
    parts.append(f"{_PUBLISHED}\n" + "".join(_commented(_table(name, steps=20)) for name in ("smia", "steadfast")))
    return "\n".join([*parts, QUALITY.format(each="700 to 950")])


def black_box_part() -> str:
    """`[[attacks]]` that need only outputs, for every kind of task."""
    parts = [
        f"{_HEAD}\n# The model has no gradient: of the stages of this attack only the search with random squares runs, "
        "1000 queries for\n# each image and budget that nothing beats.\n" + _table("strongest"),
        f"{_REFERENCE}\n{_table('noise')}",
        "# At most so many queries for each image, over all budgets; for a model that is expensive to ask:\n"
        + _commented(_table("square", queries=1000, query_budget=2000)),
        "# For a model that gives a decision and no scores, use this one instead of strongest:\n"
        + _commented(_table("hopskipjump", queries=1000)),
    ]
    return "\n".join([*parts, QUALITY.format(each="600")])


def _table(attack: str, **settings: str | int) -> str:
    """One `[[attacks]]` table."""
    values = {"attack": attack, **settings}
    lines = (f"{key} = {text_of(value) if isinstance(value, str) else value}" for key, value in values.items())
    return "\n".join(["[[attacks]]", *lines]) + "\n"


def _commented(table: str) -> str:
    return "".join(f"# {line}\n" for line in table.splitlines())
