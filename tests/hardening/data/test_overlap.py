import pytest
from PIL import Image

from palpate.audit.plan.plan import load_plan
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.hardening.data.overlap import Known, patients, pixels_of, require_apart
from palpate.hardening.material import load_material
from tests.clinic import SECRETS, xray
from tests.hardening import tiny


def tables(plan):
    from palpate.audit.plan.tables import load_table

    return load_table(plan.model_copy(update={"data": plan.harden.data})), load_table(plan)


def test_other_patients_and_images_are_accepted(tmp_path):
    training, audited = tables(tiny.write(tmp_path))
    require_apart(Known.of(training, False), Known.of(audited, False), "harden.data")


def test_a_shared_patient_is_refused_and_no_identifier_is_shown(tmp_path):
    plan = tiny.write(tmp_path)
    text = (tmp_path / "labels.csv").read_text().replace("image20.png,0,patient10", "image20.png,0,patient3")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=r"harden.data: 2 images of the audit are of patients") as caught:
        load_material(plan)
    assert "image20.png" in str(caught.value)
    assert "patient3" not in str(caught.value)


def test_a_copy_of_an_image_under_another_name_and_format_is_refused(tmp_path):
    plan = tiny.write(tmp_path)
    Image.fromarray(tiny.pixels(4)).save(tmp_path / "copy.bmp")
    with open(tmp_path / "labels.csv", "a") as lines:
        lines.write("copy.bmp,0,patient99,train\n")
    with pytest.raises(
        InputError, match=r"1 image of the audit is also among the training images.*image4.png.*copy.bmp"
    ):
        load_material(plan)


def test_rows_without_patient_are_not_compared_by_name(tmp_path):
    training, _ = tables(tiny.write(tmp_path, plan=tiny.PLAN.replace('group = "patient"\n', "")))
    assert patients(training, dicom=False) == {}


def test_pixels_decide_and_not_the_file(tmp_path):
    for name in ("a.png", "b.bmp"):
        Image.fromarray(tiny.pixels(0)).save(tmp_path / name)
    Image.fromarray(tiny.pixels(1)).save(tmp_path / "c.png")
    (tmp_path / "t.csv").write_text("file,label\na.png,0\nb.bmp,0\nc.png,1\n")
    rows = Table.from_csv(tmp_path / "t.csv", tmp_path)
    assert pixels_of(rows, 0) == pixels_of(rows, 1) != pixels_of(rows, 2)


def test_validation_images_are_kept_apart_from_audit_and_training(tmp_path):
    plan = tiny.write(tmp_path, tiny.HARDEN + '\n[harden.validation]\nwhere = {split = "train"}\n')
    with pytest.raises(InputError, match=r"harden.data: 28 images of .harden.validation. are of patients"):
        load_material(plan)
    tiny.write(tmp_path, tiny.HARDEN + '\n[harden.validation]\nwhere = {split = "test"}\n')
    with pytest.raises(InputError, match=r"harden.validation: 12 images of the audit are of patients"):
        load_material(load_plan(tmp_path / "plan.toml"))


def test_dicom_patients_are_compared_by_their_identifier(tmp_path):
    for seed, name in enumerate(("train", "test")):
        xray(tmp_path / f"{name}.dcm", seed, SECRETS)
        (tmp_path / f"{name}.csv").write_text(f"file,label\n{name}.dcm,0\n")
    training, audited = (
        Table.from_csv(tmp_path / f"{name}.csv", tmp_path, classes=["a", "b"]).by_patient()
        for name in ("train", "test")
    )
    with pytest.raises(InputError, match=r"harden.data: 1 image of the audit is of patients") as caught:
        require_apart(Known.of(training, True), Known.of(audited, True), "harden.data")
    assert SECRETS["PatientID"] not in str(caught.value)


LEAVE_OUT = tiny.HARDEN.replace("epochs = 2", 'epochs = 2\noverlap = "leave out"')


def test_what_overlaps_can_be_left_out(tmp_path):
    plan = tiny.write(tmp_path, LEAVE_OUT)
    text = (tmp_path / "labels.csv").read_text().replace("image20.png,0,patient10", "image20.png,0,patient3")
    Image.fromarray(tiny.pixels(4)).save(tmp_path / "copy.bmp")
    (tmp_path / "labels.csv").write_text(text + "copy.bmp,0,patient99,train\n")
    material = load_material(plan)
    names = {material.training.table[row].name for row in (*material.rows.training, *material.rows.validation)}
    assert not names & {"copy.bmp", "image20.png"}
    assert len(names) == tiny.COUNT - tiny.TESTED - 1
    assert "2 training images were left out, because patient or pixels are in the audit" in " ".join(material.notes)


def test_copies_of_one_image_are_in_one_half(tmp_path):
    plan = tiny.write(tmp_path, plan=tiny.PLAN.replace('group = "patient"\n', ""))
    lines = (tmp_path / "labels.csv").read_text()
    for index in range(12, 40):
        Image.fromarray(tiny.pixels(index)).save(tmp_path / f"copy{index}.bmp")
        lines += f"copy{index}.bmp,{index % 2},x,train\n"
    (tmp_path / "labels.csv").write_text(lines)
    material = load_material(plan)
    halves = [{material.training.table[row].name for row in rows} for rows in material.rows[:2]]
    for index in range(12, 40):
        assert any({f"image{index}.png", f"copy{index}.bmp"} <= half for half in halves)


def test_training_images_taken_from_the_audit_are_told_with_the_fix(tmp_path):
    mine = tiny.PLAN.replace('where = {split = "test"}\n', "")
    plan = tiny.write(tmp_path, tiny.HARDEN.replace('where = {split = "train"}', ""), plan=mine)
    with pytest.raises(InputError, match=r"names no images of its own.*those of \[data\], and all 40 images") as caught:
        load_material(plan)
    assert '\n  [harden.data]\n  where = {split = "train"}\n' in str(caught.value)


@pytest.mark.parametrize(
    ("harden", "text"),
    [
        (
            '[harden.data]\ntable = "lables.csv"',
            r"harden.data.table: .*lables.csv does not exist. Did you mean 'labels.csv'",
        ),
        ('[harden.data]\ntable = "a/b.csv"', r"harden.data.table: .*b.csv does not exist. Correct the path"),
        ('[harden.data]\nwhere = {split = "x"}\n[harden.validation]\ntable = "v.csv"', r"harden.data: .*labels.csv"),
        (
            '[harden.data]\nwhere = {split = "train"}\n[harden.validation]\ntable = "v.csv"',
            r"harden.validation.table: .*v.csv does not exist",
        ),
    ],
)
def test_a_missing_table_names_its_field(tmp_path, harden, text):
    with pytest.raises(InputError, match=f"^{text}"):
        load_material(tiny.write(tmp_path, f"[harden]\nepochs = 1\n{harden}\n"))


def test_a_missing_table_that_is_inherited_names_the_field_of_the_audit(tmp_path):
    plan = tiny.write(tmp_path, plan=tiny.PLAN.replace('"labels.csv"', '"none.csv"'))
    with pytest.raises(InputError, match=r"^data.table: .*none.csv does not exist"):
        load_material(plan)


def test_an_overlap_with_everything_is_named(tmp_path):
    plan = tiny.write(tmp_path, LEAVE_OUT.replace('"train"', '"test"'))
    with pytest.raises(InputError, match="every image is in the audit too"):
        load_material(plan)
