"""Arguments of a wrong type or under the name of another library, refused before they fail somewhere inside."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

from palpate.contracts import Threat
from palpate.errors import InputError
from palpate.synonyms import called


def require_types(name: Any, threat: Any, task: Any, goal: Any, seed: Any) -> None:
    """Refuse arguments of a wrong type, before they fail somewhere inside; raises InputError."""
    classes = isinstance(goal, Integral) or all(hasattr(goal, part) for part in ("wanted", "targeted"))
    for right, text in (
        (isinstance(name, str), f'name: {name!r} is not a text. Give an attack\'s name, such as "pgd".'),
        (
            threat is None or isinstance(threat, Threat),
            f"threat: {threat!r} is not a threat. Give palpate.Confined(eps=...).",
        ),
        (
            task is None or isinstance(task, str) or hasattr(task, "margin"),
            f"task: {task!r} is not a task. Leave it out for classes.",
        ),
        (goal is None or task is not None or classes, f"goal: {goal!r} is not a goal. Give the number of a class."),
        (isinstance(seed, Integral), f"seed: {seed!r} is not a whole number. Give one, such as 0."),
    ):
        if not right:
            raise InputError(text)


def require_own_names(parameters: Iterable[str], call: Callable[..., Any]) -> None:
    """Refuse an argument that has another name in `palpate.attack`, such as epsilon; raises InputError."""
    known = [name for name in inspect.signature(call).parameters if name != "parameters"]
    for name in parameters:
        if (ours := called(name, known)) is not None:
            raise InputError(f"{name}: palpate.attack calls it '{ours}'.")
