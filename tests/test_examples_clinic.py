"""The example of the clinic's files: its phantoms are series with masks; its check of exports finds what is wrong."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from palpate.data.formats.dicom import read_segmentation
from palpate.data.formats.registry import read_scan, write_copy
from palpate.data.formats.scan import Note
from tests import clinic

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "clinic_files"
NOTE = Note("bim", "linf 2", "identity", False)
sys.path.insert(0, str(ROOT / "tools"))

import clinic_table  # noqa: E402


def example(name):
    spec = importlib.util.spec_from_file_location(f"clinic_files_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


verify = example("verify_exports")


def test_phantoms_are_series_in_hu_with_their_masks(tmp_path):
    phantoms = example("phantom_series")
    (row,) = phantoms.write(tmp_path, 1, 20)
    scan = read_scan(tmp_path / row["file"])
    masks = read_segmentation(tmp_path / row["mask"], tmp_path / row["file"])
    assert scan.header.unit == "HU" and scan.header.shape == (1, 12, 128, 128)
    assert scan.header.spacing == (6.0, 2.75, 2.75) and scan.header.intercept == -1024
    assert masks.names == phantoms.STRUCTURES
    lungs = masks.labels[:2].any(0)
    assert np.median(scan.values[0][lungs]) < -600 < -200 < np.median(scan.values[0][:, 60:70, 60:70])
    names = [(path.name, pydicom.dcmread(path).InstanceNumber) for path in sorted((tmp_path / row["file"]).iterdir())]
    assert [number for _, number in names] != sorted(number for _, number in names), "names tell nothing of the order"
    assert all("phantom" in str(pydicom.dcmread(path).PatientName) for path in tmp_path.rglob("IM*"))


def test_slices_are_judged_in_their_places():
    model = example("model")
    found = model.SliceBySlice(torch.nn.Conv2d(1, 4, 1))
    volumes = torch.randn(2, 1, 3, 8, 8)
    assert torch.allclose(found(volumes)[1, :, 2], found.network(volumes[1, :, 2]), atol=1e-6)


@pytest.mark.parametrize("name", ["case.dcm", "case.nii.gz", "case.jpg", "case"])
def test_copies_of_palpate_are_found_as_they_should_be(name, tmp_path):
    make = {"case.dcm": clinic.xray, "case.nii.gz": clinic.nifti, "case.jpg": clinic.jpeg, "case": clinic.ct_series}[
        name
    ]
    make(tmp_path / name, 0)
    scan = read_scan(tmp_path / name)
    moved = scan.stored.copy()
    moved.ravel()[::7] += np.where(moved.ravel()[::7] < 100, 2, -2).astype(moved.dtype)
    write_copy(tmp_path / name, moved, tmp_path / f"copy_{name}", NOTE)
    found = verify.compared(tmp_path / name, tmp_path / f"copy_{name}")
    assert not found.wrong and found.whole
    if name != "case.jpg":
        assert found.change * found.slope == pytest.approx(2 * scan.header.slope)


def test_what_is_wrong_with_a_copy_is_named(tmp_path):
    clinic.xray(tmp_path / "case.dcm", 0, clinic.SECRETS)
    assert {"SOPInstanceUID is not new", "PatientName is still there"} <= set(
        verify.compared(tmp_path / "case.dcm", tmp_path / "case.dcm").wrong
    )
    clinic.jpeg(tmp_path / "case.jpg", 0)
    Image.open(tmp_path / "case.jpg").save(tmp_path / "other.jpg", quality=30)
    wrong = verify.compared(tmp_path / "case.jpg", tmp_path / "other.jpg").wrong
    assert "quantisation tables changed" in wrong and "its comment does not name palpate" in wrong


def figure(value, count=None, total=None):
    return {"value": value, "low": None, "high": None, "count": count, "total": total}


def test_the_table_holds_what_one_attack_leaves_before_and_after_saving():
    dice = [{"eps": eps, "figure": figure(value)} for eps, value in ((2.0, 0.81), (5.0, 0.31))]
    points = [
        {
            "eps": eps,
            "before": figure(before / 8, before, 8),
            "cells": [{"handling": "saved", "after": figure(after / 80, after, 80)}],
        }
        for eps, before, after in ((2.0, 2, 0), (5.0, 6, 40))
    ]
    results = {
        "title": "CT in HU: lungs",
        "task": {"score": "dice"},
        "data": {"images": 8, "formats": ["DICOM series"], "unit": "HU", "step": 1.0},
        "threat": {"lattice": True},
        "series": [
            {"name": "dice", "part": "", "statistic": "mean", "clean": figure(0.9), "attacks": {"dice-pgd": dice}}
        ],
        "budgets": [{"amounts": ["2 HU", "2 stored steps"]}, {"amounts": ["5 HU", "5 stored steps"]}],
        "survival": {"attacks": [{"attack": "noise", "points": []}, {"attack": "dice-pgd", "points": points}]},
    }
    results["data"]["unit"], unit = "", results["data"]["unit"]
    assert clinic_table.rows(results, "dice-pgd")[0][3] == "2 stored steps", "a bare number says nothing more"
    results["data"]["unit"] = unit
    first, second = clinic_table.rows(results, "dice-pgd")
    assert first[:2] == ["CT in HU (DICOM series)", "8"] and "on the lattice" in first[2]
    assert first[3:] == ["2 HU, 2 stored steps", "0.9", "0.81", "2 of 8", "0"]
    assert second[3:] == ["5 HU, 5 stored steps", "", "0.31", "6 of 8", "50"]
