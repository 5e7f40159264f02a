"""The line of a value, in every spelling that TOML allows."""

import pytest

from palpate.audit.plan.toml_lines import line_of

TEXT = '''\
# a comment with [brackets] and key = value
title = """two
lines with [fake]
seed = 1"""
a.b.c = 1

[model] # model
"quoted key" = {inner = 2}
list = [
  "one", # "]"
  "two",
]
after = 3
[[attacks]]
steps = 1
[[attacks]]
steps = 2
  [attacks.more]
  deep = 4
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("title",), 2),
        (("a",), 5),
        (("a", "b", "c"), 5),
        (("model",), 7),
        (("model", "quoted key"), 8),
        (("model", "quoted key", "inner"), 8),
        (("model", "list"), 9),
        (("model", "list", 1), 9),
        (("model", "after"), 13),
        (("attacks", 0), 14),
        (("attacks", 0, "steps"), 15),
        (("attacks", 1, "steps"), 17),
        (("attacks", 1, "more", "deep"), 19),
    ],
)
def test_a_value_is_found_where_it_begins(key: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, key) == line


def test_a_missing_value_is_placed_at_its_table() -> None:
    assert line_of(TEXT, ("model", "absent")) == 7
    assert line_of(TEXT, ("attacks", 1, "absent")) == 16
    assert line_of(TEXT, ("attacks", 5, "absent")) == 14


def test_what_has_no_place_has_no_line() -> None:
    assert line_of(TEXT, ("absent",)) is None
    assert line_of("", ("absent",)) is None
    assert line_of(TEXT, ()) is None
