"""`palpate init` on the files of a clinic: the plan that it writes reads them, and an audit of it ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from palpate.audit.plan.plan import Plan, load_plan, parse_plan
from palpate.audit.plan.scales import scale_of
from palpate.audit.plan.tables import load_table
from palpate.audit.plan.toml_words import CHECK, FILL_IN
from palpate.audit.run.runner import audit
from palpate.audit.starter.plan import starting_plan
from palpate.errors import InputError
from tests import clinic

CLASSES = ["a", "b", "c", "c"]


def listed(folder: Path, names: list[str], **columns: list[str]) -> None:
    held = {"file": names, "label": CLASSES, **columns}
    rows = [",".join(held), *map(",".join, zip(*held.values(), strict=True))]
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))


def made(folder: Path, make: Callable[[Path, int], None], suffix: str, **columns: list[str]) -> None:
    names = [f"scan{number}{suffix}" for number in range(4)]
    for number, name in enumerate(names):
        make(folder / name, number)
    listed(folder, names, **columns)


def started(folder: Path) -> tuple[str, Plan]:
    text = starting_plan(folder, folder)
    (folder / "plan.toml").write_text(text)
    return text, parse_plan(text, folder / "plan.toml")


def line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_a_table_of_series_wins_over_their_folders(tmp_path: Path) -> None:
    made(tmp_path, clinic.ct_series, "", patient=["p0", "p1", "p2", "p3"], site=list("xxyy"), scanner=list("uvuv"))
    text, plan = started(tmp_path)
    assert (plan.data.table, plan.data.folders) == ("labels.csv", None)
    assert (plan.data.group, plan.data.site, plan.data.scanner) == ("patient", "site", "scanner")
    assert plan.task.classes == ("a", "b", "c") and plan.data.unit is None and "unit =" not in text
    table = load_table(plan)
    assert [case.name for case in table] == [f"scan{number}" for number in range(4)]
    assert table.form().shape == (1, 6, 24, 20) and table[2].site == "y"
    assert "Also there" not in text  # series are no classes


def test_ct_is_in_hounsfield_units(tmp_path: Path) -> None:
    made(tmp_path, clinic.ct_series, "")
    text, plan = started(tmp_path)
    assert plan.model.bounds == (-1024, 3071)
    doubt = line(text, "bounds")
    assert CHECK in doubt and "-33792 to 31743" in doubt and "-1000 to 1000" in doubt
    assert plan.threat.eps == ("2 HU", "5 HU", "10 HU") and plan.radii == (2, 5, 10)
    assert line(text, "# steps").startswith("# steps = [{window = [-160, 240]}]  # soft tissue")
    assert line(text, "# lattice")


def test_what_is_proposed_in_comments_can_be_taken(tmp_path: Path) -> None:
    made(tmp_path, clinic.ct_series, "")
    text, _ = started(tmp_path)
    gates = r"\[\[gates|metric|eps|artefact =|severity|at_least"
    text = re.sub(rf"^# (steps = \[|lattice|{gates})", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^(mean|std) = .*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "plan.toml").write_text(text)
    plan = parse_plan((tmp_path / "plan.toml").read_text(), tmp_path / "plan.toml")
    assert plan.threat.lattice and plan.model.preprocess.window_values == (-160, 240)
    assert [gate.eps for gate in plan.gates] == ["5 HU", None]
    assert (plan.gates[1].artefact, plan.gates[1].severity) == (plan.artefacts[0].title, 3)


def test_the_files_window_and_padding_are_taken_over(tmp_path: Path) -> None:
    def padded(path: Path, seed: int) -> None:
        stored = np.rint(clinic.pattern((24, 20), seed) * 2000 - 1000).astype(np.int16)
        stored[0, 0] = -2000
        clinic.dicom(
            stored,
            path,
            RescaleSlope=1,
            RescaleIntercept=0,
            PixelPaddingValue=-2000,
            WindowCenter=-600,
            WindowWidth=1500,
        )

    made(tmp_path, padded, ".dcm")
    text, plan = started(tmp_path)
    assert plan.model.bounds == (-2000, 3071) and "window = [-1350, 150]}]  # the files' own" in text


def test_files_tell_patients_apart_where_the_table_does_not(tmp_path: Path) -> None:
    made(tmp_path, lambda path, seed: clinic.xray(path, seed, {"PatientID": f"MRN {seed // 2}"}), ".dcm")
    text, plan = started(tmp_path)
    assert plan.data.group == "dicom" and "MRN" not in text
    assert [case.group for case in load_table(plan)] == ["patient 1", "patient 1", "patient 2", "patient 2"]


def test_radiographs_in_class_folders_stay_classes(tmp_path: Path) -> None:
    for number in range(6):
        clinic.xray(tmp_path / "xrays" / "ab"[number % 2] / f"{number}.dcm", number)
    text, plan = started(tmp_path / "xrays")
    assert (plan.data.folders, plan.task.classes, plan.data.group) == (".", ("a", "b"), "dicom")
    assert len(load_table(plan)) == 6 and "6 images" in text


def test_series_without_labels_are_no_classes(tmp_path: Path) -> None:
    for number in range(2):
        clinic.ct_series(tmp_path / f"series{number}", number)
    with pytest.raises(InputError, match=r"nothing in .* says what they show"):
        starting_plan(tmp_path, tmp_path)


def test_twelve_bits_end_where_the_header_says(tmp_path: Path) -> None:
    def twelve(path: Path, seed: int) -> None:
        stored = np.rint(clinic.pattern((32, 28), seed) * 4095).astype(np.uint16)
        clinic.dicom(stored, path, Modality="DX", BitsStored=12, HighBit=11)

    made(tmp_path, twelve, ".dcm")
    text, plan = started(tmp_path)
    assert plan.model.bounds == (0, 4095) and CHECK in line(text, "bounds")
    assert plan.threat.eps == ("8 stored steps", "16 stored steps", "32 stored steps", "64 stored steps")


def test_budgets_in_steps_are_shares_of_what_images_use(tmp_path: Path) -> None:
    made(tmp_path, clinic.nifti, ".nii.gz")  # 0 to 1000 in steps of 0.5, in 16 bits
    text, plan = started(tmp_path)
    assert plan.model.bounds == (-16384, 16383.5)
    assert plan.threat.eps == ("4 stored steps", "8 stored steps", "16 stored steps", "31 stored steps")
    table = load_table(plan)
    scale = scale_of(plan, [table.header(0)], [table[0].name], None)
    assert plan.calibrated(scale).radii == (2, 4, 8, 15.5) and "0 to 1000" in line(text, "eps")


def test_floats_take_the_extremes_of_all_images_looked_at(tmp_path: Path) -> None:
    def floating(path: Path, seed: int) -> None:
        values = (clinic.pattern((8, 9, 7), seed) * (3 + seed) - 1).astype(np.float32)
        nib.Nifti1Image(values, np.eye(4)).to_filename(path)

    made(tmp_path, floating, ".nii")
    text, plan = started(tmp_path)
    doubt = line(text, "bounds")
    low, high = plan.model.bounds
    assert CHECK in doubt and FILL_IN not in doubt and (low, high) == (-1, 5)
    assert "stored step" not in text and "# lattice" not in text
    mean, std = line(text, "mean"), line(text, "std")
    assert mean.startswith("mean = [-1]") and CHECK in mean and "std = [6]" in std and CHECK in std


def test_where_no_image_can_be_read_the_range_is_asked_for(tmp_path: Path) -> None:
    def empty(path: Path, seed: int) -> None:
        nib.Nifti1Image(np.full((8, 9, 7), np.nan, np.float32), np.eye(4)).to_filename(path)

    made(tmp_path, empty, ".nii")
    assert FILL_IN in line(started(tmp_path)[0], "bounds")


def test_eight_bits_are_as_ever(tmp_path: Path) -> None:
    made(tmp_path, clinic.jpeg, ".jpg")
    text, plan = started(tmp_path)
    assert line(text, "bounds") == "bounds = [0, 255]"
    assert plan.threat.eps == ("0.5/255", "1/255", "2/255", "4/255") and plan.data.group is None


@pytest.mark.parametrize(("make", "suffix", "axes"), [(clinic.ct_series, "", 3), (clinic.xray, ".dcm", 2)])
def test_an_audit_of_the_plan_ends(tmp_path: Path, make: Callable[[Path, int], None], suffix: str, axes: int) -> None:
    made(tmp_path, make, suffix)
    (tmp_path / "model.py").write_text(clinic.MODEL.replace("axes=2", f"axes={axes}"))
    text, _ = started(tmp_path)
    head, _, attacks = text.partition("[[attacks]]")
    assert attacks
    (tmp_path / "plan.toml").write_text(f'{head}[[attacks]]\nattack = "fgsm"\n')
    assert audit(load_plan(tmp_path / "plan.toml"), tmp_path / "run").status == "finished"
