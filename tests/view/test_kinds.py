"""Volumes of which only pictures are kept, artefacts, traces, and how volumes are cut."""

import shutil

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


def test_maps_of_a_trace_are_pictures_with_a_scale(certified):
    site = Site(opened(certified))
    place = int(np.flatnonzero(site.opened.traced)[0])
    row, told = int(site.opened.frame["row"][place]), data(site, f"trace-{place}")
    item = next(one for one in site.opened.description.stability.items if one.item == site.opened.frame["item"][place])
    stored = site.opened.run.trace_maps(item.identity)
    at = stored["rows"].tolist().index(row)
    shown = {one["title"]: one for one in told["maps"]}
    change = stored["change"][at]
    red, _, blue = np.moveaxis(pixels(site, shown["Change"]["picture"]), -1, 0)
    assert (red > blue)[change > 0].all() and (red < blue)[change < 0].all() and (change != 0).any()
    assert shown["Change"]["ends"][2] == f"+{np.abs(change).max():g}"
    assert (pixels(site, shown["As stored"]["picture"]) == stored["shown"][at]).all()
    red, _, blue = np.moveaxis(pixels(site, shown["Spread over starts"]["picture"]), -1, 0)
    assert (red >= blue - 2).all() and shown["Spread over starts"]["ends"][0] == "0"
    for name in ("pictures/trace-change-99-0.png", f"pictures/trace-change-0-{10**6}.png"):
        assert site.find(name) is None


def test_damaged_maps_leave_the_steps_of_a_trace(certified, tmp_path):
    run = shutil.copytree(certified, tmp_path / "run")
    for path in (run / "stability").glob("*.npz"):
        path.write_bytes(b"PK damaged")
    site = Site(opened(run))
    told = data(site, f"trace-{np.flatnonzero(site.opened.traced)[0]}")
    assert told["columns"]["step"] and told["maps"] == [] and "cannot be read" in told["why"]


@pytest.mark.parametrize("kind", ["certified", "certified_masks"])
def test_certificates_are_a_table_and_columns_of_the_attacks(kind, request):
    site = Site(opened(request.getfixturevalue(kind)))
    rows = site.opened.certificates
    tables = data(site, "run")["tables"]
    table = tables["certificates"]
    radii = dict(
        zip(zip(column(table, "row"), column(table, "sigma"), strict=True), column(table, "certified"), strict=True)
    )
    for (row, sigma), radius in radii.items():
        mine = (rows["row"] == row) & (rows["sigma"] == sigma)
        held = rows["radius"][mine & rows["least_acceptable"]]
        wanted = rows["certified"][mine][0] if kind == "certified" else held.max() if held.size else np.nan
        assert radius == pytest.approx(wanted, rel=1e-6, nan_ok=True)
        fallen = rows["radius"][mine & ~rows["most_acceptable"]]
        falls = column(table, "falls")[list(radii).index((row, sigma))]
        assert falls == pytest.approx(fallen.min() if fallen.size else np.nan, nan_ok=True)
        told = next(one for one in data(site, f"certificate-{row}") if one["sigma"] == sigma)
        assert told["points"]["least_acceptable"] == rows["least_acceptable"][mine].tolist()
        assert told["points"]["abstained"] == pytest.approx(rows["abstained"][mine].tolist())
    attacks = tables["attacks"]
    values = column(attacks, "certified-sigma-5")
    for row, value in zip(column(attacks, "row"), values, strict=True):
        assert value == pytest.approx(radii.get((row, 5.0), np.nan), rel=1e-6, nan_ok=True)
    missing = max(column(attacks, "row")) + 1
    assert site.find(f"data/certificate-{missing}.js") is None
    assert data(site, "certified-0")["before"].startswith("pictures/clean-")


@pytest.mark.parametrize("spacing", [(), (1.0, 1.0, 3.0), (2.0, 1.0, 1.0), (1.0, 1.5, 1.5)])
def test_volumes_are_cut_as_in_the_report(spacing):
    image = torch.arange(4 * 5 * 6.0).reshape(1, 4, 5, 6)
    grid, shown = Grid.of((4, 5, 6), spacing), planes((4, 5, 6), spacing or None, None, None)
    assert (grid.axis, grid.count, grid.aspect) == (shown[0].axis, shown[0].count, shown[0].aspect)
    for plane in shown:
        assert (grid.plane(image.numpy(), plane.index) == plane.of(image).numpy()).all()
