"""Pictures of masks, volumes, boxes and findings: which slices, what is drawn over them, and where it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palpate.audit.run.runner import audit
from palpate.report.model.description import Description, read_description
from palpate.report.model.shown import SliceDescription
from palpate.storage.runs import RunFolder
from tests.audit import tiny_dense

Made = tuple[RunFolder, Description]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """A finished run of one kind of task, made once."""
    runs: dict[str, Made] = {}

    def make(kind: str) -> Made:
        if kind not in runs:
            folder = tmp_path_factory.mktemp(kind)
            audit(tiny_dense.write(folder / "plan", kind), folder / "run")
            run = RunFolder(folder / "run")
            runs[kind] = (run, read_description(run))
        return runs[kind]

    return make


def corners(one: SliceDescription, layer: str) -> list[list[float]]:
    """Left, top, right and bottom of each mark, in pixels of the tiny images."""
    marks = [np.array(mark.points) * tiny_dense.SIDE for mark in getattr(one.marks, layer)]
    return [[*points.min(axis=0), *points.max(axis=0)] for points in marks]


def square(row: int) -> list[float]:
    """Where the bright square of an image is."""
    rows, columns = np.nonzero(tiny_dense._mask(row))
    return [columns.min(), rows.min(), columns.max() + 1.0, rows.max() + 1.0]


@pytest.mark.parametrize("kind", ["segmentation", "volume", "detection", "multilabel"])
def test_every_slice_has_its_three_pictures_and_nothing_is_left_over(made: Callable[[str], Made], kind: str) -> None:
    run, description = made(kind)
    assert {one.attack for one in description.gallery} == {"noise", "pgd"}
    named = set()
    for picture in description.gallery:
        assert picture.slices and (picture.label, picture.prediction) == (-1, -1)
        for one in picture.slices:
            named |= {one.clean, one.adversarial, one.perturbation}
    assert {f"images/{path.name}" for path in run.images.iterdir()} == named
    assert all((run.path / name).is_file() for name in named)


def test_masks_are_outlined_where_they_lie(made: Callable[[str], Made]) -> None:
    _, description = made("segmentation")
    for picture in description.gallery:
        (one,) = picture.slices
        assert one.axis is None and one.aspect == 0.5, "a pixel of 2 by 1 mm is half as wide as high"
        assert corners(one, "truth") == [pytest.approx(square(picture.row), abs=0.01)]
        assert corners(one, "clean") == corners(one, "truth"), "the tiny network is right"
        assert (one.changed > 0) == (one.marks.clean != one.marks.adversarial)
    won = [picture for picture in description.gallery if picture.attack == "pgd" and picture.success]
    assert won and all(picture.slices[0].changed and picture.score < picture.clean_score for picture in won)


def test_the_scores_and_measures_of_a_picture_are_those_of_its_record(made: Callable[[str], Made]) -> None:
    run, description = made("segmentation")
    frame = run.frame()
    for picture in description.gallery:
        (place,) = np.flatnonzero(
            (frame["attack"] == picture.attack) & (frame["row"] == picture.row) & (frame["eps"] == picture.eps)
        )
        assert picture.score == pytest.approx(frame["score"][place])
        stored = frame["measures"][place]
        assert [np.nan if one is None else one for one in picture.measures] == pytest.approx(stored, nan_ok=True)


def test_a_volume_shows_the_slices_along_its_coarsest_axis(made: Callable[[str], Made]) -> None:
    run, description = made("volume")
    moved = [picture for picture in description.gallery if picture.success]
    assert moved
    for picture in description.gallery:
        depth = 8 if picture.row % 2 else 10
        places = [one.index for one in picture.slices]
        assert places == sorted(set(places)) and len(places) <= 9 and max(places) < depth
        assert {(one.axis, one.count) for one in picture.slices} == {(2, depth)}
        for one in picture.slices:
            assert corners(one, "truth") == [pytest.approx(square(picture.row), abs=0.01)]
            with Image.open(run.path / one.adversarial) as image:
                assert image.size == (tiny_dense.SIDE, tiny_dense.SIDE)
        assert any(one.changed for one in picture.slices) or not picture.success


def test_boxes_are_drawn_with_their_confidence(made: Callable[[str], Made]) -> None:
    _, description = made("detection")
    for picture in description.gallery:
        (one,) = picture.slices
        assert corners(one, "truth") == [pytest.approx(square(picture.row), abs=0.01)]
        assert corners(one, "clean") == [pytest.approx(square(picture.row), abs=0.01)]
        assert [mark.score for mark in one.marks.truth] == [None]
        assert all(mark.kind == "box" and 0.5 <= (mark.score or 0) <= 1 for mark in one.marks.clean)
        if picture.success:
            assert one.marks.adversarial != one.marks.clean


def test_findings_come_with_their_probabilities_and_no_marks(made: Callable[[str], Made]) -> None:
    _, description = made("multilabel")
    for picture in description.gallery:
        assert len(picture.truth) == len(picture.clean_found) == len(picture.found) == 2
        assert set(picture.truth) <= {-1.0, 0.0, 1.0}
        assert not picture.slices[0].marks.truth and not picture.slices[0].marks.adversarial
    assert any(picture.found != picture.clean_found for picture in description.gallery)


def test_the_volume_runs_again_without_drawing_anew(made: Callable[[str], Made]) -> None:
    run, description = made("volume")
    before = {path.name: path.stat().st_mtime_ns for path in run.images.iterdir()}
    audit(tiny_dense.load_plan(run.path.parent / "plan" / "plan.toml"), run.path)
    assert {path.name: path.stat().st_mtime_ns for path in run.images.iterdir()} == before
    assert read_description(run).gallery == description.gallery


def test_a_picture_whose_note_is_gone_is_drawn_again(tmp_path: Path) -> None:
    plan = tiny_dense.write(tmp_path / "plan", "detection")
    audit(plan, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    before = read_description(run).gallery
    Image.new("L", (4, 4)).save(run.path / before[0].adversarial)
    audit(plan, tmp_path / "run")
    assert read_description(run).gallery == before
