"""Defences as a notebook gives them, read as the task says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from palpate.contracts import Task
from palpate.defences.reading import reading_of
from palpate.errors import InputError
from palpate.victim import Defence


def checked(defences: Any) -> tuple[Defence, ...]:
    """The defences of a call.

    Raises:
        InputError: it is not a sequence of defences.
    """
    given = tuple(defences) if isinstance(defences, Sequence) and not isinstance(defences, str) else (defences,)
    for one in given:
        if isinstance(one, type) or not (callable(one) and hasattr(one, "exact") and hasattr(one, "describe")):
            raise InputError(
                f"defences: {one!r} is not a defence. Give values such as palpate.defences.Smoothing(12.0)."
            )
    return given


def fitted(defences: Sequence[Defence], task: Task) -> tuple[Defence, ...]:
    """The defences with their `head` set as the task reads outputs, where they have one and it is not set."""
    return tuple(_fitted(one, task) for one in defences)


def _fitted(defence: Defence, task: Task) -> Defence:
    value: Any = defence
    if not is_dataclass(value) or all(field.name != "head" for field in fields(value)):
        return defence
    bound: Any = replace(value, head=reading_of(task)) if getattr(value, "head", None) is None else value  # type: ignore[type-var]
    return bound  # type: ignore[no-any-return]
