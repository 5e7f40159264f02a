"""Photographs with an orientation: read as stored, or turned as viewers do, and written so that they look alike."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.tables import load_table
from palpate.audit.starter.plan import starting_plan
from palpate.audit.subject.file_findings import file_findings
from palpate.audit.subject.subject import Subject
from palpate.audit.work.saving import Saver, write_altered
from palpate.data.formats.orientation import TAG, turned, turned_back
from palpate.data.formats.png import orientation_chunk
from palpate.data.formats.registry import header_of, read_scan
from palpate.data.formats.scan import Note
from tests.audit.plan.test_plan_tables import BOXES, CLASSES, REST
from tests.data.pictures import noise

NOTE = Note("bim", "1/255", "identity")
TURNS = range(1, 9)


def photograph(path: Path, turn: int, pixels: np.ndarray) -> Path:
    """Pixels (H, W) or (H, W, 3) as they are stored, with an orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="minisblack", extratags=[(TAG, "H", 1, turn, True)])
        return path
    exif = Image.Exif()
    exif[TAG] = turn
    Image.fromarray(pixels).save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def shown(path: Path) -> np.ndarray:
    """What a viewer shows."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(upright if upright is not None else image)


@pytest.mark.parametrize("turn", TURNS)
def test_turning_is_that_of_viewers_and_can_be_taken_back(turn: int, tmp_path: Path) -> None:
    pixels = noise(5, 7)
    path = photograph(tmp_path / "a.png", turn, pixels)
    assert header_of(path).orientation == turn and header_of(path).shape == (1, 5, 7)
    np.testing.assert_array_equal(read_scan(path).values[0], pixels)
    np.testing.assert_array_equal(turned(pixels[None], turn)[0], shown(path))
    np.testing.assert_array_equal(turned_back(turned(pixels[None], turn), turn)[0], pixels)


def table_of(root: Path, orientation: str, data: str = "", task: str = CLASSES):
    text = f'[data]\ntable = "labels.csv"\norientation = "{orientation}"\n{data}\n{task}{REST}'
    return load_table(parse_plan(text, root / "plan.toml"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("turn", [1, 2, 3, 6, 7])
def test_a_plan_reads_upright_and_copies_show_what_was_found(suffix: str, turn: int, tmp_path: Path) -> None:
    path = photograph(tmp_path / f"a.{suffix}", turn, noise(16, 24))
    (tmp_path / "labels.csv").write_text(f"file,label\n{path.name},0\n")
    stored, upright = table_of(tmp_path, "stored"), table_of(tmp_path, "exif")
    np.testing.assert_array_equal(upright.image(0), turned(stored.image(0), turn))
    assert upright.shape_of(0) == upright.image(0).shape == upright.header(0).shape
    assert stored.fingerprint() != upright.fingerprint()

    subject = SimpleNamespace(table=upright, headers=(upright.header(0),), victim=SimpleNamespace(bounds=(0.0, 255.0)))
    image = torch.from_numpy(upright.image(0).astype(np.float32)).clamp(3, 252) + 3
    (tmp_path / "run").mkdir()
    copy = write_altered(subject, 0, image, tmp_path / "copies" / "0", NOTE)
    assert header_of(copy).orientation == turn, "a viewer turns the copy as it turns the original"
    back = Saver(subject, tmp_path / "run").saved([0], image[None], [NOTE])[0]
    np.testing.assert_array_equal(turned(read_scan(copy).values, turn).astype(np.float32), back.numpy())
    if suffix != "jpg":
        np.testing.assert_array_equal(back.numpy(), image.numpy())
    if suffix != "tif":
        np.testing.assert_array_equal(shown(copy), back.numpy()[0])


def test_boxes_and_masks_are_on_the_turned_image(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg", 6, noise(20, 40))
    (tmp_path / "labels.csv").write_text("image,label,xmin,ymin,xmax,ymax\na.jpg,cell,0,0,10,20\n")
    more = 'boxes = "labels.csv"\nfile = "image"'
    np.testing.assert_allclose(table_of(tmp_path, "exif", more, BOXES).annotation(0).boxes, [[0, 0, 0.5, 0.5]])
    Image.fromarray(np.ones((40, 20), np.uint8)).save(tmp_path / "m.png")
    (tmp_path / "labels.csv").write_text("file,mask\na.jpg,m.png\n")
    task = '[task]\nkind = "segmentation"\nstructures = ["organ"]\n'
    labels = table_of(tmp_path, "exif", 'mask = "mask"', task).annotation(0).labels
    assert labels is not None and labels.shape == (40, 20)


def test_odd_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", 6, noise(8, 8))
    path.write_bytes(
        path.read_bytes()
        .replace(b"\x01\x12\x00\x03", b"\x01\x12\x77\x77")
        .replace(b"\x12\x01\x03\x00", b"\x12\x01\x77\x77")
    )
    assert header_of(path).orientation == 1
    photograph(tmp_path / "b.png", 9, noise(8, 8))
    assert header_of(tmp_path / "b.png").orientation == 1


def test_the_chunk_says_the_orientation_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.load(orientation_chunk(6)[1])
    assert dict(exif) == {TAG: 6}


def test_a_report_and_a_first_plan_say_that_images_are_turned_or_differ_in_channels(tmp_path: Path) -> None:
    lines = ["file,label"]
    for number in range(6):
        pixels = noise(8, 8) if number < 4 else noise(8, 8, 3)
        photograph(tmp_path / f"images/{number}.jpg", 6 if number == 1 else 1, pixels)
        lines.append(f"images/{number}.jpg,{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    text = starting_plan(tmp_path, tmp_path)
    assert 'orientation = "stored"  # CHECK: images have an EXIF tag' in text and "differ in channels" in text
    said = {orientation: _said(tmp_path, orientation) for orientation in ("stored", "exif")}
    assert "1 of 6 images have an EXIF tag" in said["stored"] and "first images/1.jpg" in said["stored"]
    assert 'data.orientation = "exif"' in said["stored"] and "turned" not in said["exif"]
    assert "4 of 1 channel (first images/0.jpg), 2 of 3 channels (first images/4.jpg)" in said["exif"]


def _said(root: Path, orientation: str) -> str:
    table = table_of(root, orientation)
    plan = parse_plan(
        f'[data]\ntable = "labels.csv"\norientation = "{orientation}"\n{CLASSES}{REST}', root / "plan.toml"
    )
    headers = tuple(table.header(row) for row in range(len(table)))
    scale = SimpleNamespace(step=None)
    subject = SimpleNamespace(table=table, headers=headers, victim=SimpleNamespace(bounds=(0.0, 255.0)), scale=scale)
    return " ".join(finding.text for finding in file_findings(plan, _as_subject(subject)))


def _as_subject(subject: object) -> Subject:
    return subject  # type: ignore[return-value]
