"""Every layout that a plan can name is read as the plan says, and contradictions are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.tables import load_table
from palpate.errors import PlanError
from tests.data import layouts
from tests.data.dicom.making import ct_slice, noise, saved
from tests.data.test_datalist import pictures

REST = """
[model]
factory = "model.py:build"
bounds = [0, 255]
[threat]
norm = "linf"
eps = [1]
[[attacks]]
attack = "pgd"
"""
MASKS = '[task]\nkind = "segmentation"\nstructures = ["back", "front"]\n'
BOXES = '[task]\nkind = "detection"\nclasses = ["cell", "clot"]\n'
POLYPS = BOXES.replace('"cell", "clot"', '"polyp", "tool"')
CLASSES = '[task]\nkind = "binary"\nclasses = ["well", "ill"]\n'
FINDINGS = '[task]\nkind = "multilabel"\nfindings = ["mass", "fluid"]\n'


def plan(root: Path, data: str, task: str):
    return parse_plan(f"[data]\n{data}\n{task}{REST}", root / "plan.toml")


def test_nnunet(tmp_path: Path) -> None:
    layouts.nnunet(tmp_path / "set")
    table = load_table(plan(tmp_path, 'nnunet = "set"\nlimit = 1', MASKS))
    assert len(table) == 1 and table.classes == ("back", "front")


@pytest.mark.parametrize(
    ("items", "task", "more"),
    [
        ([{"label": 1, "who": "p", "at": "x"}], CLASSES, 'group = "who"\nsite = "at"'),
        ([{"label": [1, 0], "who": "p", "at": "x"}], FINDINGS, 'group = "who"\nsite = "at"'),
        ([{"label": [1], "box": [[0, 0, 2, 2]], "who": "p", "at": "x"}], BOXES,
         'group = "who"\nsite = "at"\nbox_mode = "xywh"'),
    ],
)  # fmt: skip
def test_datalists(tmp_path: Path, items: list, task: str, more: str) -> None:
    pictures(tmp_path, *items)
    (case,) = load_table(plan(tmp_path, f'datalist = "list.json"\nsplit = "validation"\n{more}', task))
    assert (case.group, case.site) == ("p", "x")


def test_coco_of_boxes_and_of_masks(tmp_path: Path) -> None:
    layouts.coco(tmp_path / "set")
    data = 'coco = "set/instances.json"\ngroup = "patient"'
    assert load_table(plan(tmp_path, data, POLYPS)).annotation(0).boxes is not None
    masks = MASKS.replace('"back", "front"', '"polyp", "tool"')
    table = load_table(plan(tmp_path, data + "\nspacing = [0.5, 0.5]", masks))
    assert table.annotation(0).labels is not None and table.annotation(0).spacing == (0.5, 0.5)
    assert [case.group for case in table] == ["p0", "p1", "p2"]


def test_voc(tmp_path: Path) -> None:
    layouts.voc(tmp_path / "VOC")
    assert len(load_table(plan(tmp_path, 'voc = "VOC"', BOXES))) == 2
    hard = load_table(plan(tmp_path, 'voc = "VOC"\nsplit = "test"\ndifficult = true', BOXES))
    assert len(hard.annotation(0).boxes) == 2  # type: ignore[arg-type]


def test_patients_of_dicom_files(tmp_path: Path) -> None:
    for name in ("well/a", "ill/b", "ill/c"):
        patient = "SECRET" if name != "well/a" else "OTHER"
        own = {"PatientID": patient, "Manufacturer": "Acme", "ManufacturerModelName": name[-1]}
        saved(tmp_path / f"set/{name}.dcm", ct_slice(noise(4, 5, high=900, dtype="int16"), 0, **own))
    table = load_table(plan(tmp_path, 'folders = "set"\ngroup = "dicom"', CLASSES))
    assert [case.group for case in table] == ["patient 1", "patient 2", "patient 2"]
    assert [case.scanner for case in table] == ["Acme a", "Acme b", "Acme c"]


@pytest.mark.parametrize(
    ("data", "task", "said"),
    [
        ('nnunet = "a"\ncoco = "b"', MASKS, r"data\.coco: nnunet is given already"),
        ('voc = "a"', CLASSES, r"data\.voc: a VOC folder has no annotations for binary"),
        ('masks = "a"', BOXES, r"data\.masks: a folder of masks has no annotations for detection"),
        (
            'masks = "a"\nmask_name = "x"',
            MASKS,
            r'data\.mask_name: it must hold \{stem\} once, such as "\{stem\}_mask"',
        ),
        (
            'yolo = "a"\nimages = "b"',
            BOXES,
            r"data\.images: it belongs to a CSV, a datalist, a COCO file or a folder of",
        ),
        ('yolo = "a"\nbox_mode = "xywh"', BOXES, r"data\.box_mode: it belongs to a CSV or a datalist"),
        ('nnunet = "a"', BOXES, r"data\.nnunet: an nnU-Net folder has no annotations for detection"),
        (
            'nnunet = "a"\nvalues = [1]',
            MASKS,
            r"data\.values: it belongs to a CSV, a datalist, a VOC folder or a folder",
        ),
        ('nnunet = "a"\ngroup = "who"', MASKS, r"data\.group: it belongs to a CSV, a datalist or a COCO file"),
        ('coco = "a"\nsplit = "test"', BOXES, r"data\.split: .*For a COCO file write where"),
        ('coco = "a"\ndifficult = true', BOXES, r"data\.difficult: it belongs to a VOC folder"),
        ('datalist = "a"\nbox_mode = "yx"', BOXES, r"data\.box_mode: "),
        ('medmnist = "a.npz"\ngroup = "dicom"', CLASSES, r"data\.group: it belongs to"),
        ('folders = "s3://b/scans"', CLASSES, r"data\.folders: a URL is not read here\. .* list the files in a table"),
        ('table = "a"\nimages = "s3://me:pw@b"', CLASSES, r"data\.images: it holds a password or a token"),
        ('datalist = "a"\nbox_mode = "xywh"', CLASSES, r'data\.box_mode: it belongs to kind = "detection"'),
    ],
)
def test_contradictions(tmp_path: Path, data: str, task: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        plan(tmp_path, data, task)


def test_the_recipes_of_the_docs_are_plans(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/howto/data_layouts.md").read_text()
    recipes = re.findall(r"```toml\n\[data\]\n(.*?)```", page, re.DOTALL)
    assert len(recipes) >= 15
    for recipe in recipes:
        data, _, task = recipe.partition("[task]")
        fitting = BOXES if re.match("coco|voc|yolo", data) else CLASSES
        if "datalist" in data:
            fitting = MASKS
        plan(tmp_path, data, f"[task]{task}" if task else fitting)
