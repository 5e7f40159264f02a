"""Expressions of a bundle's configuration: plain values are read, and anything else is code."""

from __future__ import annotations

from typing import Any

import pytest

from palpate.models.bundles.expressions import POSITIONAL, CodeError, plain_value
from palpate.models.bundles.reading import entry_at, plain_entries

CONFIG: dict[str, Any] = {
    "labels": {"background": 0, "spleen": 1},
    "channels": 1,
    "root": ".",
    "models": "$@root + '/models'",
    "sizes": {"window": [96, 64]},
    "raw": False,
    "backbone": {"_target_": "ResNet"},
    "circle": "$@circle + 1",
    "planted": "$__import__('os').getcwd()",
}


def read(text: str) -> Any:
    return plain_value(text, lambda name: plain_entries(CONFIG, entry_at(CONFIG, name)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("len(@labels) + @channels", 3),
        ("@models + '/model.pt'", "./models/model.pt"),
        ("@sizes::window[1] // 4 - 1", 15),
        ("@sizes#window", [96, 64]),
        ("[1.5, 1.5] if not @raw else [3.0, 3.0]", [1.5, 1.5]),
        ("1.0 - float(80) / float(@sizes::window::0)", 1 - 80 / 96),
        ("(-1, True, None)", [-1, True, None]),
        ("@backbone.to(@device)", "@backbone"),
        ("@backbone", "@backbone"),
        ("monai.utils.CommonKeys.IMAGE", "image"),
        ("a.b.make(@backbone, 2, deep=@raw)", {"_target_": "a.b.make", POSITIONAL: ["@backbone", 2], "deep": False}),
    ],
)
def test_plain_values_are_read(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "@channels.__class__",
            "[x for x in (1, 2)]",
            "lambda x: x",
            "9 ** 9",
            "'a' * 100",
            "[1] * 1000000000",
            "f'{1}'",
        ),
        *("@planted", "@circle", "@nowhere", "@labels['liver']", "@backbone + 1", "@backbone['x']", "name", "1 +"),
        *("(lambda: 1)()", "f(*[1])", "f(**@labels)", "100000 * 100000", "(1).real.to(2)", "1 if (y := 2) else 3"),
        *("@labels.pop('spleen')(1)", "`ls`", "1 / 0", "b'x'", "1j", "{1: 2}", "not @backbone"),
    ],
)
def test_everything_else_is_code(text: str) -> None:
    with pytest.raises(CodeError):
        read(text)
