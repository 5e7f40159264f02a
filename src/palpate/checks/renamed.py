"""Methods of users' own parts that have a new name: the check reports them before anything else fails."""

from __future__ import annotations

from palpate.checks.violation import ContractError

METHODS = {
    "bend": "transform_gradient",
    "deliver": "to_image",
    "disagreement": "consistency_loss",
    "elsewhere": "separate_gradient_point",
    "place": "lookahead",
    "words": "describe",
}
"""Old name -> new name."""


def require_new_names(part: object) -> None:
    """Raise if a part has a method under its old name only.

    Raises:
        ContractError: it does; the text says which method to rename.
    """
    for old, new in METHODS.items():
        if callable(getattr(part, old, None)) and not hasattr(part, new):
            raise ContractError(f"names: {type(part).__name__}.{old} is now called {new}. Rename the method.")
