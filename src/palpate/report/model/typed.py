"""The basic types of everything that is read or written: safe texts and numbers, and a figure with its interval."""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PrivateAttr

from palpate.metrics.intervals import Origin


def visible(text: str) -> str:
    """Replace letters that would control a page or a terminal: control characters, text direction, surrogates."""
    return "".join(
        "\ufffd" if letter not in "\n\t" and unicodedata.category(letter) in {"Cc", "Cf", "Cs"} else letter
        for letter in text
    )


def _safe(value: Any) -> Any:
    # Python's JSON reader allows NaN and infinity, which other readers refuse.
    if isinstance(value, str):
        # Texts are shown inside a line; a line break could make a text look like a line of the report.
        return visible(value).replace("\n", " ")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_safe(key): _safe(item) for key, item in value.items()}
    return [_safe(item) for item in value] if isinstance(value, list | tuple) else value


Text = Annotated[str, BeforeValidator(_safe)]
"""Text from a file, without control characters. A page must still escape it."""
Number = Annotated[float | None, BeforeValidator(_safe)]
"""A figure, or null where it is undefined (NaN) or unbounded."""

Settings = Annotated[dict[str, Any], BeforeValidator(_safe)]
"""Free-form settings: any JSON, without control characters and without numbers that JSON does not have."""


Word = Annotated[Text, BeforeValidator(lambda value: value or "")]
"""Text that may be null; null is read as empty."""


def _named(value: Any) -> Any:
    # One name, several names, names with a number each, or none.
    return [] if value in (None, "") else [value] if isinstance(value, str) else list(value)


Names = Annotated[list[Text], BeforeValidator(_named)]
"""Names from a file, in the file's order."""


class JsonObject(BaseModel):
    """Base of everything that is read or written: unknown fields of a newer writer are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Figure(JsonObject):
    """A figure with its 95% interval."""

    value: Number
    """The figure itself; null where it is undefined."""
    low: Number
    """Lower end of the interval."""
    high: Number
    """Upper end of the interval."""
    method: Literal[
        "Wilson",
        "Wilson, effective sample size",
        "bootstrap over groups",
        "Newcombe",
        "none",
        "Wilson, counting groups",
    ]
    """How the interval was made; the last is of older files only."""
    count: int | None = None
    """Hits, for a proportion; boxes found, for a figure about boxes."""
    total: int | None = None
    """The denominator: images that count, for a proportion or a mean; annotated boxes, for a detector's recall."""
    note: Text | None = None
    """Why the figure is undefined."""
    _origin: Origin | None = PrivateAttr(default=None)

    @property
    def origin(self) -> Origin | None:
        """What it was computed from; None for a figure that was read from a file. It is not stored."""
        return self._origin
