import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.data.phantoms import ARTEFACTS, endoscopy, endoscopy_set, write_endoscopy_folder
from palpate.data.phantoms.canvas import canvas
from palpate.data.phantoms.endoscopy_artefacts import Artefact, box, lay
from palpate.errors import InputError, StorageError


def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def views():
    return [endoscopy(rng(seed)) for seed in range(40)]


def test_the_seed_alone_decides():
    first, again, other = (endoscopy_set(3, seed) for seed in (3, 3, 4))
    assert (first[0] == again[0]).all() and all((a == b).all() for a, b in zip(first[1], again[1], strict=True))
    assert (first[0] != other[0]).any()


def test_a_longer_set_begins_with_the_shorter_one():
    short, long = endoscopy_set(2, 0, size=96), endoscopy_set(4, 0, size=96)
    assert (short[0] == long[0][:2]).all()
    assert all((a == b).all() for a, b in zip(short[2], long[2][:2], strict=True))


def test_shapes_and_types(views):
    assert views[0].image.shape == (128, 128, 3) and views[0].image.dtype == np.uint8
    for view in views:
        assert view.boxes.shape == (len(view.labels), 4)
        assert view.boxes.dtype == np.float32 and view.labels.dtype == np.int64
    images, boxes, labels = endoscopy_set(0, seed=1)
    assert images.shape == (0, 128, 128, 3) and boxes == labels == []


def test_boxes_lie_in_the_image_and_have_an_area(views):
    boxes = np.concatenate([view.boxes for view in views])
    assert (boxes >= 0).all() and (boxes <= 128).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 4).all()


def test_every_class_and_images_without_artefact_are_there(views):
    assert set(np.concatenate([view.labels for view in views])) == set(range(len(ARTEFACTS)))
    assert any(not len(view.labels) for view in views) and any(len(set(view.labels)) > 1 for view in views)


def test_mucosa_is_red_around_a_dark_lumen(views):
    clean = [view.image.astype(float) for view in views if not len(view.labels)]
    for image in clean:
        field = image[24:104, 24:104]
        assert field[..., 0].mean() > 1.2 * field[..., 1].mean()
        assert np.percentile(field.mean(2), 1) < 0.6 * np.median(field.mean(2))
        assert image[:3, :3].max() < 25, "cut corners"


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_an_artefact_changes_the_light_within_its_box(kind):
    grid = canvas(128)
    scene = (0.2 + 0.05 * rng(1).standard_normal((128, 128, 3))).astype(np.float32)
    light, seen = lay(scene, Artefact(kind, (0.1, -0.2), 0.15), grid, rng(2))
    left, top, right, bottom = box(seen).astype(int)
    change = np.abs(light - scene).mean(2)
    outside = np.ones_like(seen)
    # A halo may reach a little further than what is annotated.
    outside[max(top - 8, 0) : bottom + 8, max(left - 8, 0) : right + 8] = False
    assert change[top:bottom, left:right].mean() > 10 * change[outside].mean()
    assert seen[top:bottom, left].any() and seen[top:bottom, right - 1].any(), "the box is tight"


def test_glints_and_glare_are_white_and_blur_is_smooth():
    grid = canvas(128)
    scene = (0.2 + 0.05 * rng(1).standard_normal((128, 128, 3))).astype(np.float32)
    for kind in ("specularity", "saturation"):
        light, seen = lay(scene, Artefact(kind, (0, 0), 0.2), grid, rng(2))
        assert light[seen].max() >= 1
    light, seen = lay(scene, Artefact("blur", (0, 0), 0.35), grid, rng(2))
    inner = np.hypot(grid.x, grid.y) < 0.15
    assert (light[inner].std(0) < 0.5 * scene[inner].std(0)).all(), "in every channel"


def test_the_folder_reads_like_any_users_data(tmp_path):
    folder = tmp_path / "new" / "demo"
    write_endoscopy_folder(folder, count=8, seed=9)
    images, boxes, labels = endoscopy_set(8, seed=9)
    with (folder / "images.csv").open(newline="") as table:
        names = [row["image"] for row in csv.DictReader(table)]
    with (folder / "boxes.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    for name, image, mine, said in zip(names, images, boxes, labels, strict=True):
        with Image.open(folder / name) as stored:
            assert (np.asarray(stored) == image).all()
            assert stored.text["Description"] == "palpate digital phantom, synthetic"
        written = [row for row in rows if row["image"] == name]
        assert [row["label"] for row in written] == [ARTEFACTS[number] for number in said]
        for row, corners in zip(written, mine, strict=True):
            assert [float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")] == corners.tolist()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file, no folder")
    with pytest.raises(StorageError, match="taken"):
        write_endoscopy_folder(Path(taken), count=1, seed=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [(lambda: endoscopy(rng(0), size=64), "size of 96 or more"), (lambda: endoscopy_set(-1, 0), "count of 0 or more")],
)
def test_what_cannot_be_drawn_is_said(call, says):
    with pytest.raises(InputError, match=says):
        call()
