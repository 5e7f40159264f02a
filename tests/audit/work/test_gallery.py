"""Pictures: what they show, what they say of themselves, and whom they do not name."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from palpate.audit.run.runner import audit
from palpate.audit.work.gallery import PER_ATTACK, amplification
from palpate.audit.work.planes import png
from palpate.report.model.description import read_description
from palpate.report.model.shown import PictureDescription
from palpate.storage.runs import RunFolder
from tests.audit import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("gallery") / "plan"
    audit(tiny.write(folder), folder / "run")
    return RunFolder(folder / "run")


@pytest.fixture(scope="module")
def pictures(run: RunFolder) -> list[PictureDescription]:
    return read_description(run).gallery


def pixels(run: RunFolder, name: str) -> np.ndarray:
    with Image.open(run.path / name) as image:
        return np.asarray(image).astype(int)


def test_each_attack_shows_some_images_that_it_could_attack(run: RunFolder, pictures: list[PictureDescription]) -> None:
    frame = run.frame()
    for name in ("pgd", "hiding", "noise"):
        mine = [picture for picture in pictures if picture.attack == name]
        assert 0 < len(mine) <= PER_ATTACK
        eligible = frame["row"][(frame["attack"] == name) & frame["eligible"]]
        assert {picture.row for picture in mine} <= set(eligible.tolist())
        assert len({picture.label for picture in mine}) > 1, "classes take turns"


def test_the_smallest_budget_that_won_is_shown_and_else_the_largest(
    run: RunFolder, pictures: list[PictureDescription]
) -> None:
    frame = run.frame()
    won = set()
    for picture in pictures:
        mine = (frame["attack"] == picture.attack) & (frame["row"] == picture.row)
        winning = frame["eps"][mine & frame["success"]]
        assert picture.eps == (winning.min() if winning.size else 16.0)
        at = mine & (frame["eps"] == picture.eps)
        assert picture.prediction == frame["prediction"][at][0]
        won.add(bool(winning.size))
    assert won == {True, False}, "the tiny run must show both"


def test_pictures_are_the_image_the_attack_and_the_change(run: RunFolder, pictures: list[PictureDescription]) -> None:
    for picture in pictures:
        clean, adversarial = pixels(run, picture.clean), pixels(run, picture.adversarial)
        assert np.array_equal(clean, pixels(run, f"../{picture.image}")), "the clean image is the one that is stored"
        change = adversarial - clean
        assert 0 < np.abs(change).max() <= picture.eps
        amplified = pixels(run, picture.perturbation)
        # Rounding to stored values, amplified.
        assert np.abs(amplified - (127.5 + change * picture.amplification)).max() <= picture.amplification * 0.5 + 1


def test_pictures_say_that_they_are_synthetic(run: RunFolder, pictures: list[PictureDescription]) -> None:
    for picture in pictures:
        for name in (picture.adversarial, picture.perturbation):
            with Image.open(run.path / name) as image:
                assert image.info["Description"].startswith("Synthetic: an image altered by palpate")
                assert "not for diagnosis" in image.info["Description"]
        with Image.open(run.path / picture.clean) as image:
            assert image.info["Description"].startswith("A copy for display")


def test_names_tell_nothing_of_a_patient(run: RunFolder, pictures: list[PictureDescription]) -> None:
    for path in run.images.iterdir():
        assert not any(word in path.name for word in ("image", "patient"))
        assert b"image1.png" not in path.read_bytes() and b"patient" not in path.read_bytes().replace(b"patient's", b"")


def test_the_same_run_draws_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "run" / "images").iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in run.images.iterdir()}


def test_a_removed_picture_is_made_again(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan")
    audit(plan, tmp_path / "run")
    before = read_description(RunFolder(tmp_path / "run")).gallery
    (tmp_path / "run" / before[0].adversarial).unlink()
    audit(plan, tmp_path / "run")
    assert read_description(RunFolder(tmp_path / "run")).gallery == before
    assert (tmp_path / "run" / before[0].adversarial).is_file()


@given(st.floats(1e-6, 1e4), st.sampled_from([(0.0, 255.0), (0.0, 1.0), (-1024.0, 3071.0)]))
def test_amplification_fits_and_is_round(linf: float, bounds: tuple[float, float]) -> None:
    factor, room = amplification(linf, bounds), (bounds[1] - bounds[0]) / 2
    if linf >= room:
        assert factor == 1
        return
    assert factor * linf <= room < 2.5 * factor * linf * (1 + 1e-9)
    assert f"{factor:e}"[0] in "125"


def test_no_change_is_not_amplified() -> None:
    assert amplification(0.0, (0.0, 255.0)) == 1


def read(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_values_of_8_bit_are_rounded_and_others_scaled() -> None:
    grey = torch.tensor([[[0.0, 0.4, 0.6, 254.6, 300.0, -3.0]]])
    assert read(png(grey, (0.0, 255.0), "")).tolist() == [[0, 0, 1, 255, 255, 0]]
    assert read(png(torch.tensor([[[-1024.0, 3071.0, 1023.5]]]), (-1024.0, 3071.0), "")).tolist() == [[0, 255, 128]]
    colour = torch.arange(12.0).reshape(3, 2, 2)
    assert np.array_equal(read(png(colour, (0.0, 255.0), "")), colour.numpy().transpose(1, 2, 0))
