"""What a check raises."""

from __future__ import annotations


class ContractError(AssertionError):
    """A contract is broken. Its text starts with the contract's name."""


def require(kept: object, contract: str, seen: str) -> None:
    """Raise unless `kept` is true.

    Raises:
        ContractError: it is not.
    """
    if not bool(kept):
        raise ContractError(f"{contract}: {seen}")
