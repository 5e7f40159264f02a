"""`palpate init` proposes the further inputs of a model where its file names them and the table has their columns."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from palpate.audit.plan.plan import parse_plan
from palpate.audit.starter.plan import starting_plan, unfinished
from palpate.audit.subject.subject import load_subject
from palpate.models.inputs.stated import Stated, stated_inputs
from palpate.models.source import ModelSource

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.head = nn.Linear(2, 2)

    def forward(self, {arguments}):
        return self.head(torch.stack([images.mean((1, 2, 3)), {used}], 1))

def build_model(width=4):
    made = Net(width)
    made.eval()
    return made
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = ["file,label,age,sex,view2,split"]
    for number in range(6):
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
        Image.fromarray(np.full((8, 8), 30 * number, np.uint8)).save(tmp_path / f"side{number}.png")
        age, split = (50 + number, "test") if number < 4 else ("", "train")
        lines.append(f"{number}.png,{number % 2},{age},{'FM'[number % 2]},side{number}.png,{split}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def started(folder: Path) -> tuple[dict[str, object], list[str], str]:
    text = starting_plan(folder, folder)
    plan = parse_plan(text, folder / "plan.toml")
    return dict(plan.model.inputs), [asked for _, asked in unfinished(text)], text


def factory(folder: Path, arguments: str, used: str = "age") -> None:
    (folder / "model.py").write_text(CODE.format(arguments=arguments, used=used))


class Net(nn.Module):
    def forward(self, images: Tensor, age: Tensor, view2: Tensor) -> Tensor:
        return torch.stack([images.mean((1, 2, 3)) * age, view2.mean((1, 2, 3))], 1)


def saved(folder: Path, how: str) -> None:
    image = torch.ones(2, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if how == "exported":
            free = {0: torch.export.Dim("batch")}
            shapes = {"images": free, "age": free, "view2": free}
            torch.export.save(
                torch.export.export(
                    Net().eval(), (image,), {"age": torch.ones(2), "view2": image}, dynamic_shapes=shapes
                ),
                folder / "net.pt2",
            )
            return
        traced = torch.jit.trace(Net().eval(), (image, torch.ones(2), image))
        made = {"traced": traced, "scripted": torch.jit.script(Net().eval())}
        (made[how] if how in made else torch.jit.freeze(made["scripted"])).save(folder / "net.ts")


@pytest.mark.parametrize("how", ["traced", "scripted", "frozen", "exported", "factory"])
def test_numbers_and_images_of_the_same_names_are_given_unedited(folder: Path, how: str) -> None:
    if how == "factory":
        factory(folder, "images, age, view2", "age * view2.mean((1, 2, 3))")
    else:
        saved(folder, how)
    inputs, asked, text = started(folder)
    assert inputs == {"age": "age", "view2": {"image": "view2"}} and not asked
    subject = load_subject(parse_plan(text, folder / "plan.toml"))
    with subject.victim as victim:
        assert victim.judge(subject.images([2])).shape == (1, 2)


def test_a_second_view_is_not_said_to_be_left_out_where_it_is_given_to_the_model(folder: Path) -> None:
    factory(folder, "images, view2", "view2.mean((1, 2, 3))")
    for number in range(6):  # a picture of one value could be a mask
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) + number).save(folder / f"side{number}.png")
    inputs, _, text = started(folder)
    assert inputs == {"view2": {"image": "view2"}} and "left out" not in text
    said = "# Note: column 'view2' names images too: they are not attacked, and only [model.inputs] gives them to"
    assert said in text


@pytest.mark.parametrize(
    ("arguments", "wanted", "said"),
    [
        ("images, sex", {"sex": {"column": "sex", "values": {"F": 0, "M": 1}}}, "the number of each word"),
        ("images, bmi", {"bmi": "bmi"}, "which column? The model needs it, and the table has file, label, age"),
        ("images, *, split", {"split": {"column": "split", "values": {"test": 0}}}, "the number of each word"),
    ],
)
def test_what_the_table_cannot_say_is_asked(folder: Path, arguments: str, wanted: object, said: str) -> None:
    factory(folder, arguments)
    inputs, asked, _ = started(folder)
    assert inputs == wanted and len(asked) == 1 and said in asked[0]


def test_an_empty_cell_is_asked_about_in_the_images_that_are_audited(folder: Path) -> None:
    factory(folder, "images, age")
    assert not started(folder)[1], "those of the training images do not matter"
    table = folder / "cases.csv"
    table.write_text(table.read_text().replace(",51,", ",,"))
    (asked,) = started(folder)[1]
    assert "some cells of this column are empty" in asked


def test_what_a_model_can_do_without_is_a_comment(folder: Path) -> None:
    factory(folder, "images, age=None, bmi=None", "images.mean((1, 2, 3))")
    inputs, asked, text = started(folder)
    assert not inputs and not asked
    assert '# [model.inputs]\n# age = "age"  # CHECK' in text and "bmi" not in text


def test_a_model_whose_inputs_are_not_known_gets_a_comment_only_beside_such_columns(folder: Path) -> None:
    (folder / "model.py").write_text("import torch\ndef build():\n    return torch.nn.Sequential()\n")
    assert (
        '# [model.inputs]  # if its forward takes more than the image: keyword = column\n# age = "age"'
        in (started(folder)[2])
    )
    table = folder / "cases.csv"
    table.write_text(table.read_text().replace("age,sex,view2", "one,two,three"))
    assert "model.inputs" not in started(folder)[2]


def test_images_alone_need_nothing(folder: Path) -> None:
    factory(folder, "images", "images.mean((1, 2, 3))")
    assert "model.inputs" not in started(folder)[2]


def test_a_folder_of_classes_has_no_columns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name / "1.png")
    factory(tmp_path, "images, age")
    inputs, asked, _ = started(tmp_path)
    assert not inputs and any(one.startswith('age = "age"; the model needs it, and columns are') for one in asked)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("return Net().double().eval()", Stated(("age",))),
        ("made = Net()\n    return made.eval()", Stated(("age",))),
        ("def inner():\n        return 3\n    return Net()", Stated(("age",))),
        ("return Net() if wide else Other()", None),
        ("if wide:\n        return Net()\n    return Other()", None),
        ("made = Net()\n    made = Other()\n    return made", None),
        ("return load(Net())", None),
        ("return torch.jit.load('net.ts')", None),
    ],
)
def test_a_function_is_understood_where_it_returns_one_class_of_its_file(
    tmp_path: Path, body: str, wanted: Stated | None
) -> None:
    (tmp_path / "model.py").write_text(
        "class Net(Module):\n    def forward(self, x, age): ...\n"
        "class Other(Module):\n    def forward(self, x): ...\n"
        f"def build(wide=True):\n    {body}\n"
    )
    assert stated_inputs(ModelSource(factory="model.py:build"), tmp_path) == wanted


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "net.ts").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "model.py").write_text("def build(:\n")
    for source in (
        ModelSource(torchscript="net.ts"),
        ModelSource(exported="net.ts"),
        ModelSource(factory="model.py:build"),
    ):
        assert stated_inputs(source, tmp_path) is None
