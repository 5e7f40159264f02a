"""Every layout is one class and one row: the plan's fields, its help and its checks follow from them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from palpate.audit.plan.sections.data import DataSection
from palpate.data.annotations.labels import BoxLabels, ClassLabels, LabelKind, MaskLabels
from palpate.data.layouts.class_folders import ClassFolders
from palpate.data.layouts.coco import Coco
from palpate.data.layouts.layout import Layout
from palpate.data.layouts.registry import LAYOUTS, fields_of, help_of, layout_named
from palpate.data.layouts.yolo import Yolo
from palpate.data.listing import About
from palpate.data.table import read_table
from palpate.errors import InputError


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_row_describes_itself(name: str) -> None:
    kind = LAYOUTS[name]
    assert kind.called.split()[0] in ("a", "an", "class") and kind.example
    assert help_of(kind).endswith(".")
    assert DataSection.model_fields[name].description == help_of(kind)


@pytest.mark.parametrize("name", LAYOUTS)
def test_its_fields_are_fields_of_the_plan(name: str) -> None:
    assert fields_of(name) <= set(DataSection.model_fields)
    assert set(LAYOUTS[name].reads) <= set(get_args(LabelKind))
    for kind, used in LAYOUTS[name].reads.items():
        assert set(used) <= {field.name for field in fields(kind)}


def test_defaults_of_labels_are_those_of_the_plan() -> None:
    plan = {name: field.default for name, field in DataSection.model_fields.items()}
    plan |= {"values": None, "mask": "mask"}  # an empty list of values means the usual ones; a plan must name the mask
    for kind in get_args(LabelKind):
        for field in fields(kind):
            assert field.default == plan.get(field.name, field.default), (kind, field.name)


def test_a_layout_takes_the_values_that_it_has_fields_for() -> None:
    values = {"split": "val", "about": About("patient"), "images": None}
    assert layout_named("yolo", Path("set"), values) == Yolo(Path("set"), "val")
    assert layout_named("coco", Path("x.json"), values) == Coco(Path("x.json"), about=About("patient"))


@pytest.mark.parametrize(
    ("layout", "labels", "said"),
    [
        (Yolo(Path("set")), MaskLabels(), "set: a YOLO set does not hold masks. It holds boxes."),
        (ClassFolders(Path("set")), BoxLabels(), "set: class folders do not hold boxes. They hold classes."),
        (Coco(Path("x.json")), ClassLabels(), "x.json: a COCO file does not hold classes. It holds masks or boxes."),
    ],
)
def test_labels_that_a_layout_does_not_hold(layout: Layout, labels: LabelKind, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_table(layout, labels)
    assert str(refused.value) == said


NEW = r"""
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from palpate.data.annotations.labels import ClassLabels
from palpate.data.cases import Case
from palpate.data.layouts.layout import Layout
from palpate.data.layouts.registry import LAYOUTS
from palpate.data.rows import Rows
from palpate.data.source import Folder
from palpate.errors import InputError

@dataclass(frozen=True)
class Prefixes(Layout):
    '''A folder whose files begin with the name of their class.'''

    called, example, reads = "a folder of prefixes", "images", {ClassLabels: ()}
    split: str | None = None

    def rows(self, labels):
        names = tuple(labels.names)
        files = [path.name for path in sorted(self.path.iterdir())]
        cases = [Case(name, names.index(name.split("_")[0]), name, row) for row, name in enumerate(files)]
        return Rows(tuple(cases), names, Folder(self.path))

LAYOUTS["prefixes"] = Prefixes  # the row, before anything reads the registry

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.tables import load_table

CLASSES = 'kind = "binary"\nclasses = ["well", "ill"]'
REST = '[model]\nfactory = "m.py:b"\nbounds = [0, 1]\n[threat]\nnorm = "linf"\neps = [1]\n[[attacks]]\nattack = "pgd"'

def plan(data, task=CLASSES):
    return parse_plan(f"[data]\n{data}\n[task]\n{task}\n{REST}", Path("plan.toml").absolute())

Path("set").mkdir()
for name in ("well_1", "ill_2"):
    Image.new("L", (4, 4)).save(f"set/{name}.png")
table = load_table(plan('prefixes = "set"'))
print([(case.name, table.classes[case.label]) for case in table])
for more, task in (("where = {a = 1}", CLASSES), ("", 'kind = "detection"\nclasses = ["a"]')):
    try:
        plan(f'prefixes = "set"\n{more}', task)
    except InputError as error:
        print(error)
"""


def test_a_new_layout_is_one_class_and_one_row(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", NEW], cwd=tmp_path, capture_output=True, text=True, check=True)
    read, foreign, unlabelled = done.stdout.splitlines()
    assert read == "[('ill_2.png', 'ill'), ('well_1.png', 'well')]"
    assert "data.where: it belongs to a CSV, a datalist or a COCO file" in foreign
    assert "data.prefixes: a folder of prefixes has no annotations for detection" in unlabelled
