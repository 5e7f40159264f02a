"""What everything that is read or written is made of: tamed texts and numbers, and a figure with its interval."""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict


def visible(text: str) -> str:
    """Replace what would act on a page or a terminal instead of being seen: controls, text direction, surrogates."""
    return "".join(
        "\ufffd" if letter not in "\n\t" and unicodedata.category(letter) in {"Cc", "Cf", "Cs"} else letter
        for letter in text
    )


def _tame(value: Any) -> Any:
    # JSON as Python reads it may hold NaN and infinity, which no other reader takes.
    if isinstance(value, str):
        # Texts are shown inside a line; one with a line of its own could pass for a line of the report.
        return visible(value).replace("\n", " ")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_tame(key): _tame(item) for key, item in value.items()}
    return [_tame(item) for item in value] if isinstance(value, list | tuple) else value


Text = Annotated[str, BeforeValidator(_tame)]
"""Text from a file, free of control characters. It is still to be escaped where it is shown."""
Number = Annotated[float | None, BeforeValidator(_tame)]
"""A figure, or null where it is undefined (NaN) or unbounded."""

Tree = Annotated[dict[str, Any], BeforeValidator(_tame)]
"""Free-form settings: any JSON, free of control characters and of numbers that JSON does not have."""


Word = Annotated[Text, BeforeValidator(lambda value: value or "")]
"""Text that may be null, which is the empty one."""


def _named(value: Any) -> Any:
    # One name, several, names with a number each, or none.
    return [] if value in (None, "") else [value] if isinstance(value, str) else list(value)


Names = Annotated[list[Text], BeforeValidator(_named)]
"""Names from a file, in its order."""


class Model(BaseModel):
    """Base of everything that is read or written: unknown fields of a newer writer are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, frozen=True, protected_namespaces=())


class Figure(Model):
    """A figure with its 95% interval."""

    value: Number
    """The figure itself; null where it is undefined."""
    low: Number
    """Lower end of the interval."""
    high: Number
    """Upper end of the interval."""
    method: Literal["Wilson", "bootstrap over groups", "Wilson, counting groups", "Newcombe", "none"]
    """How the interval was made."""
    count: int | None = None
    """Hits, where the figure is a proportion; boxes found, where it is one of boxes."""
    total: int | None = None
    """Images that count, where the figure is a proportion or a mean: its denominator. Of a detector's
    recall the annotated boxes."""
    note: Text | None = None
    """Why the figure is undefined."""
