"""Volumes of which only pictures are kept, artefacts, traces, and how volumes are cut."""

import numpy as np
import pytest
import torch

from palpate.audit.work.planes import planes
from palpate.view.opened import opened
from palpate.view.pixels import Grid
from palpate.view.site import Site
from tests.report.artefacts import make_masks
from tests.view.payload import column, data, pixels


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """A run on volumes with artefacts; its images are not at hand, and nothing is exported."""
    return Site(opened(make_masks(tmp_path_factory.mktemp("volumes") / "run", "volume").path))


def test_of_a_volume_the_slices_that_are_kept_are_shown(volumes):
    gallery = volumes.opened.description.gallery[0]
    place = next(place for place, (_, pictured) in enumerate(volumes.opened.places) if pictured)
    told = data(volumes, f"record-{place}")
    assert told["slices"] == [one.index for one in gallery.slices] and told["count"] == gallery.slices[0].count
    assert told["start"] == max(gallery.slices, key=lambda one: one.changed).index
    assert told["before"] == f"pictures/before-{place}-"
    for index in told["slices"]:
        assert told["marks"][str(index)]["after"] is not None
        for kind in ("before", "after", "change"):
            assert pixels(volumes, f"{told[kind]}{index}.png").size
    missing = next(place for place, kept in enumerate(volumes.opened.places) if kept == (None, None))
    assert any("[export]" in why for why in data(volumes, f"record-{missing}")["why"])


def test_the_change_of_a_picture_is_read_from_its_amplified_grey(volumes):
    from palpate.view.changes import record_change

    place = next(place for place, (_, pictured) in enumerate(volumes.opened.places) if pictured)
    pictured, (low, high) = volumes.opened.places[place][1], volumes.opened.pixels.bounds
    one = pictured.slices[0]
    grey = pixels(volumes, f"pictures/change-{place}-{one.index}.png")
    change = record_change(volumes.opened, place, one.index)
    step = (high - low) / 255 / pictured.factor
    assert np.abs(change).max() <= 128 * step and change.shape[1:] == grey.shape[:2]
    red, blue = grey[..., 0], grey[..., 2]
    sure = np.abs(change[0]) > 0.2 * volumes.opened.frame["linf"][place]
    assert sure.any() and ((red > blue) == (change[0] > 0))[sure].all()


def test_rows_of_artefacts_are_listed_and_the_worst_is_shown(volumes):
    frame = volumes.opened.artefacts
    table = data(volumes, "run")["tables"]["artefacts"]
    assert column(table, "severity") == pytest.approx(frame["severity"].tolist(), rel=1e-6)
    assert [one == "fails" for one in column(table, "verdict")] == (
        (frame["kind"] != "clean") & frame["eligible"] & (frame["margin"] <= 0)
    ).tolist()
    assert len(volumes.opened.pictures) == len(volumes.opened.description.artefacts.pictures) > 0
    place = next(iter(volumes.opened.pictures))
    told = data(volumes, f"artefact-{place}")
    assert all(pixels(volumes, f"{told[kind]}{told['start']}.png").size for kind in ("before", "after", "change"))
    other = next(place for place in range(len(frame["row"])) if place not in volumes.opened.pictures)
    assert any("harms most" in why for why in data(volumes, f"artefact-{other}")["why"])


def test_steps_of_a_traced_attack_are_given(masks):
    site = Site(opened(masks))
    traced = column(data(site, "run")["tables"]["attacks"], "traced")
    place = traced.index("traced")
    frame, traces = site.opened.frame, site.opened.traces
    mine = (traces["row"] == frame["row"][place]) & (traces["item"] == frame["item"][place])
    told = data(site, f"trace-{place}")["columns"]
    assert told["step"] == traces["step"][mine].tolist()
    assert told["margin"] == pytest.approx(traces["margin"][mine].tolist(), rel=1e-5)
    assert site.find(f"data/trace-{traced.index('no')}.js") is None


@pytest.mark.parametrize("spacing", [(), (1.0, 1.0, 3.0), (2.0, 1.0, 1.0), (1.0, 1.5, 1.5)])
def test_volumes_are_cut_as_in_the_report(spacing):
    image = torch.arange(4 * 5 * 6.0).reshape(1, 4, 5, 6)
    grid, shown = Grid.of((4, 5, 6), spacing), planes((4, 5, 6), spacing or None, None, None)
    assert (grid.axis, grid.count, grid.aspect) == (shown[0].axis, shown[0].count, shown[0].aspect)
    for plane in shown:
        assert (grid.plane(image.numpy(), plane.index) == plane.of(image).numpy()).all()
