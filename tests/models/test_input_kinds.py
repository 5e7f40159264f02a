"""What `[model.inputs]` may say, and what the cells of one image then mean."""

from __future__ import annotations

import re
from typing import Any

import pytest

from palpate.errors import InputError
from palpate.models.inputs.kinds import Columns, Prompt, columns_of, faults, inputs_of

WRITTEN: dict[str, Any] = {
    "age": "years",
    "clinical": ["years", "bmi"],
    "sex": {"column": "sex", "values": {"F": 0, "M": 1}},
    "lateral": {"image": "side"},
    "box": {"box": ["x1", "y1", "x2", "y2"]},
    "points": {"points": ["x1", "y1"]},
}
CELLS = {"years": "61", "bmi": "22.5", "sex": "M", "x1": "2", "y1": "3", "x2": "9", "y2": "8"}


def test_each_form_reads_its_columns() -> None:
    inputs = inputs_of(WRITTEN)
    read = {name: (one.read(CELLS), one.shape) for name, one in inputs.items() if name != "lateral"}  # type: ignore[union-attr]
    assert read == {
        "age": ((61.0,), ()),
        "clinical": ((61.0, 22.5), (2,)),
        "sex": ((1,), ()),
        "box": ((2.0, 3.0, 9.0, 8.0), (4,)),
        "points": ((2.0, 3.0), (1, 2)),
    }
    assert columns_of(inputs) == Columns(("years", "bmi", "sex", "x1", "y1", "x2", "y2"), ("side",))


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((2, 3, 11, 8), r"the box \(2, 3, 11, 8\) is outside the image, which is 10 x 12 \(width x height\)"),
        ((-1, 3, 9, 8), "outside the image"),
        ((9, 3, 2, 8), "has no area. Give left, top, right, bottom"),
        (
            (0.1, 0.2, 0.6, 0.7),
            "looks like fractions of the image, and prompts are pixels. Multiply x by 10 and y by 12",
        ),
    ],
)
def test_a_prompt_must_lie_in_the_image(box: tuple[float, ...], said: str) -> None:
    for fits in ((0, 0, 10, 12), (0, 0, 1, 1), (0.5, 0.5, 1.5, 1)):
        Prompt(("a", "b", "c", "d"), box=True).require_inside(fits, 10, 12)
    with pytest.raises(InputError, match=said):
        Prompt(("a", "b", "c", "d"), box=True).require_inside(box, 10, 12)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("age", 7),
        ("age", []),
        ("two words", "age"),
        ("images", "age"),
        ("sex", {"column": "sex", "values": {"F": "0"}}),
        ("sex", {"column": "sex", "values": {}}),
        ("box", {"box": ["x1", "y1", "x2"]}),
        ("points", {"points": ["x"]}),
        ("lateral", {"image": "side", "size": 3}),
    ],
)
def test_other_forms_are_said_by_their_name(name: str, written: Any) -> None:
    ((where, said),) = faults({"right": "age", name: written})
    assert where == name and re.match(r"it is the keyword|\S.* is not one of the allowed forms", said)
    assert "(" not in said and ": 'a" not in said, "as a plan writes it, not as Python does"


@pytest.mark.parametrize("cell", ["", "old", "nan", "inf"])
def test_a_cell_without_a_number_is_refused(cell: str) -> None:
    with pytest.raises(InputError, match=r"the column 'years' (is empty|holds 'old'|holds 'nan'|holds 'inf')"):
        inputs_of({"age": "years"})["age"].read({"years": cell})  # type: ignore[union-attr]
