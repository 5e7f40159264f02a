"""Small and large structures: the same halves for every run, and the figures of each half."""

from dataclasses import replace

import numpy as np
import pytest

from palpate.metrics.panel import arrange
from palpate.report.compute.compare.sizes import size_series
from palpate.report.compute.reading import read
from tests.report.dense import make_dense
from tests.report.pair import relabelled, rewritten

SIZES = np.exp(np.random.default_rng(4).normal(0, 1, 40))


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Masks whose records also have the volume that was found; small lesions fall."""
    run = make_dense(tmp_path_factory.mktemp("masks") / "run", "segmentation", pictures=0)
    task = run.describe()["task"]
    lesion = next(
        place for place, one in enumerate(task["measures"]) if (one["name"], one["part"]) == ("dice", "lesion")
    )
    measures = [*task["measures"], {"name": "volume", "part": "lesion", "unit": "ml", "better": ""}]
    relabelled(run, task={"measures": measures})

    def sized(record):
        clean = (*record.clean_measures, SIZES[record.row])
        after = [*record.measures, SIZES[record.row]]
        after[lesion] = 0.1 if SIZES[record.row] <= np.median(SIZES) else 0.9
        return replace(record, clean_measures=clean, measures=tuple(after))

    for name in run.describe()["shards"]:
        rewritten(run, name, sized)
    return run, lesion


def test_small_structures_are_the_smaller_half_of_those_that_are_annotated(masks):
    run, lesion = masks
    reading = read(run)
    small, large = size_series(reading, reading)
    assert (small.part, large.part, small.name) == ("small lesion", "large lesion", "dice")
    dice = reading.panel.images.measures[:, lesion]
    there = np.isfinite(dice)
    half = np.median(SIZES[there]) >= SIZES
    assert small.clean.value == pytest.approx(dice[there & half].mean())
    assert large.clean.value == pytest.approx(dice[there & ~half].mean())
    assert small.clean.total + large.clean.total == there.sum()
    # At most the clean score, because the image as stored counts too.
    assert small.worst[0].figure.value <= 0.3 < large.worst[0].figure.value


def test_the_first_run_gives_the_sizes_of_all(masks):
    reading = read(masks[0])
    turned = reading.panel.images.measures.copy()
    turned[:, -1] = -turned[:, -1]
    other = replace(reading, panel=replace(reading.panel, images=replace(reading.panel.images, measures=turned)))
    assert [one.clean.total for one in size_series(other, reading)] == [
        one.clean.total for one in size_series(reading, reading)
    ]
    mine, theirs = size_series(reading, reading)[0], size_series(other, reading)[0]
    assert mine.clean == theirs.clean


def test_boxes_found_are_those_of_images_with_small_and_with_large_boxes(tmp_path):
    run = make_dense(tmp_path / "boxes", "detection", pictures=0)
    reading = read(run)
    small, large = size_series(reading, reading)
    assert (small.part, small.name) == ("images with small boxes", "recall")
    boxes = sum(values.size // 5 for values in arrange(run.frame()).images.truth)
    assert small.clean.total + large.clean.total == boxes
    assert small.worst[-1].figure.value < small.clean.value


def test_few_images_have_no_halves(tmp_path):
    run = make_dense(tmp_path / "few", "detection", pictures=0)
    reading = read(run)
    truth = reading.panel.images.truth
    empty = replace(truth, sizes=np.where(np.arange(len(truth)) < 3, truth.sizes, 0))
    few = replace(reading, panel=replace(reading.panel, images=replace(reading.panel.images, truth=empty)))
    assert size_series(few, few) == []
