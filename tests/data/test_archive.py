"""MedMNIST archives: read without pickle, and refused with the array and the index that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.labels import FindingLabels
from palpate.data.formats.forms import Form
from palpate.data.layouts.archive import MedMnist, read_headers
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.pictures import noise, shared


def archive(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "organ.npz"
    np.savez_compressed(path, **arrays)
    return path


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[:, None]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_images(tmp_path: Path, dtype: str) -> None:
    stored = noise(3, 6, 5, dtype=dtype)
    path = archive(tmp_path, test_images=stored, test_labels=labels(1, 0, 2))
    table = Table.from_medmnist(path)
    assert [case.name for case in table] == ["organ.npz[0]", "organ.npz[1]", "organ.npz[2]"]
    assert table.labels.tolist() == [1, 0, 2] and table.form() == Form((1, 6, 5), dtype)
    for row in range(3):
        np.testing.assert_array_equal(table.image(row), stored[row][None])


def test_colour_images_and_rows_of_a_part(tmp_path: Path) -> None:
    stored = noise(3, 6, 5, 3)
    table = Table.from_medmnist(archive(tmp_path, val_images=stored, val_labels=labels(1, 0, 1)), "val").take([2])
    np.testing.assert_array_equal(table.image(0), stored[2].transpose(2, 0, 1))
    assert table[0].name == "organ.npz[2]" and table.shape() == (3, 6, 5)


def test_an_image_is_a_copy(tmp_path: Path) -> None:
    table = Table.from_medmnist(archive(tmp_path, test_images=noise(1, 4, 4), test_labels=labels(0)))
    before = table.image(0).copy()
    table.image(0)[:] = 0
    np.testing.assert_array_equal(table.image(0), before)


def test_classes_of_all_splits_count(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        train_images=noise(2, 4, 4),
        train_labels=labels(0, 3),
        test_images=noise(1, 4, 4),
        test_labels=labels(1),
    )
    assert Table.from_medmnist(path).classes == ("0", "1", "2", "3")
    assert Table.from_medmnist(path, classes=["a", "b"]).classes == ("a", "b")


def test_fingerprint_depends_on_pixels(tmp_path: Path) -> None:
    stored = noise(2, 4, 4)

    def fingerprint() -> str:
        return Table.from_medmnist(archive(tmp_path, test_images=stored, test_labels=labels(0, 1))).fingerprint([1])

    first = fingerprint()
    stored[0, 0, 0] ^= 1
    assert fingerprint() == first
    stored[1, 0, 0] ^= 1
    assert fingerprint() != first


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_images_must_be_finite(tmp_path: Path, value: float) -> None:
    stored = np.random.default_rng(0).random((3, 4, 4)).astype(np.float32)
    good = Table.from_medmnist(archive(tmp_path, test_images=stored, test_labels=labels(0, 1, 1)))
    np.testing.assert_array_equal(good.image(2)[0], stored[2])
    stored[1, 2, 2] = value
    table = Table.from_medmnist(archive(tmp_path, test_images=stored, test_labels=labels(0, 1, 1)))
    with pytest.raises(InputError, match=r"organ.npz: test_images\[1\] holds NaN or infinity"):
        table.image(0)


BAD = {
    "no images": ({"test_image": noise(1, 4, 4)}, r"no array 'test_images'. Did you mean 'test_image'\?"),
    "no labels": ({"test_images": noise(1, 4, 4)}, "no array 'test_labels'"),
    "volumes": ({"test_images": noise(1, 4, 4, 4), "test_labels": labels(0)}, r"shape \(1, 4, 4, 4\)"),
    "truth values": ({"test_images": noise(1, 4, 4) > 9, "test_labels": labels(0)}, "type bool"),
    "complex": ({"test_images": np.ones((1, 4, 4), complex), "test_labels": labels(0)}, "type complex128"),
    "too few labels": ({"test_images": noise(2, 4, 4), "test_labels": labels(0)}, "for 2 images"),
    "several labels": ({"test_images": noise(1, 4, 4), "test_labels": np.zeros((1, 14))}, "hold 14 findings per image"),
    "text labels": ({"test_images": noise(1, 4, 4), "test_labels": np.array([["a"]])}, "Give class numbers"),
    "fractions": ({"test_images": noise(2, 4, 4), "test_labels": np.array([0, 0.5])}, r"test_labels\[1\] is 0.5"),
    "negative": ({"test_images": noise(2, 4, 4), "test_labels": np.array([0, -1])}, r"test_labels\[1\] is -1"),
    "nothing": ({"test_images": noise(0, 4, 4), "test_labels": np.zeros((0, 1))}, "are empty"),
    "too large": ({"test_images": np.zeros((0, 9000, 9000), "u1"), "test_labels": labels()}, "9000 x 9000"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives(tmp_path: Path, name: str) -> None:
    arrays, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        Table.from_medmnist(archive(tmp_path, **arrays))
    assert "organ.npz" in str(caught.value)


def test_a_label_outside_the_classes(tmp_path: Path) -> None:
    path = archive(tmp_path, test_images=noise(2, 4, 4), test_labels=labels(0, 2))
    with pytest.raises(InputError, match=r"organ.npz: test_labels\[1\] is 2, which is not one of the classes no, yes"):
        Table.from_medmnist(path, classes=["no", "yes"])


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    with pytest.raises(InputError, match="type object"):
        Table.from_medmnist(archive(tmp_path, test_images=trap, test_labels=labels(0)))
    path = archive(tmp_path, test_images=noise(1, 4, 4), test_labels=trap)
    with pytest.raises(InputError, match="Give class numbers"):
        Table.from_medmnist(path)
    path = archive(tmp_path, test_images=noise(1, 4, 4), test_labels=labels(0), train_labels=trap)
    with pytest.raises(InputError, match="'train_labels' is damaged"):
        Table.from_medmnist(path)
    assert not sprung.exists()


def test_missing_and_truncated_archives(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Table.from_medmnist(tmp_path / "none.npz")
    path = archive(tmp_path, test_images=noise(9, 30, 30), test_labels=labels(*range(9)))
    data = path.read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"organ.npz is not a complete .npz archive"):
            Table.from_medmnist(path)


def test_damaged_pixels(tmp_path: Path) -> None:
    path = archive(tmp_path, test_images=noise(9, 30, 30), test_labels=labels(*range(9)))
    data = bytearray(path.read_bytes())
    data[3000:3040] = bytes(40)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="'test_images' is damaged"):
        Table.from_medmnist(path).image(0)


def test_headers_are_read_without_the_arrays(tmp_path: Path) -> None:
    path = archive(tmp_path, a=noise(2, 3), b=np.zeros((4, 1), "<f4"))
    assert read_headers(path) == {"a": ((2, 3), np.dtype("u1")), "b": ((4, 1), np.dtype("f4"))}


@pytest.mark.shared
def test_real_chest_radiographs() -> None:
    path = shared("cls_cxr_pneumoniamnist_28") / "pneumoniamnist.npz"
    table = Table.from_medmnist(path, "test", classes=["normal", "pneumonia"])
    with np.load(path, allow_pickle=False) as stored:
        assert len(table) == len(stored["test_images"])
        assert table.labels.tolist() == stored["test_labels"].ravel().tolist()
        np.testing.assert_array_equal(table.image(17)[0], stored["test_images"][17])
    assert table.form() == Form((1, 28, 28), "uint8")
    limited = table.limit(100)
    share = table.counts()[0] / len(table)
    assert abs(limited.counts()[0] / 100 - share) < 0.02


def test_findings_are_columns_of_the_labels(tmp_path: Path) -> None:
    path = archive(tmp_path, test_images=noise(3, 4, 4), test_labels=np.array([[1, 0], [0, 0], [1, 1]]))
    table = read_table(MedMnist(path), FindingLabels(["mass", "edema"]))
    assert table.classes == ("mass", "edema") and table[2].label == -1
    assert [table.annotation(row).findings.tolist() for row in range(3)] == [[1, 0], [0, 0], [1, 1]]  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"hold 2 findings per image, and task.findings names 3"):
        read_table(MedMnist(path), FindingLabels(["mass", "edema", "more"]))
    odd = archive(tmp_path, test_images=noise(1, 4, 4), test_labels=np.array([[1, 2]]))
    with pytest.raises(InputError, match="other values than 0 and 1"):
        read_table(MedMnist(odd), FindingLabels(["mass", "edema"]))


def test_a_long_last_axis_is_one_of_space(tmp_path: Path) -> None:
    volumes = noise(2, 6, 7, 8)
    table = Table.from_medmnist(archive(tmp_path, test_images=volumes, test_labels=labels(0, 1)))
    assert table.form().shape == (1, 6, 7, 8) == table.image(1).shape
    assert (table.image(1)[0] == volumes[1]).all()
