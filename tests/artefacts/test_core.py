"""Parameters and severity, annotations that move, stored values, and the catalogue with what packages add."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from palpate.annotations import Boxes, Masks
from palpate.artefacts import catalog
from palpate.artefacts.artefact import Artefact, Scene
from palpate.artefacts.moving import moved, share_kept
from palpate.artefacts.parameter import Parameter, check_theta, free, is_null, theta_at, words
from palpate.contracts import Limits
from palpate.errors import InputError, PlanError

LEVELS = (1.0, 2.0, 4.0, 6.0, 10.0)
SIZE = Parameter("diameter", "mm", "test", levels=LEVELS)
TURN = Parameter("turn", "degrees", "test", levels=LEVELS, signed=True)
DOSE = Parameter("dose", "", "test", levels=(0.9, 0.8, 0.7, 0.5, 0.2), null=1.0)
PLACE = Parameter("place", "share of the width", "test", 0.2, 0.6)
METAL = Parameter("material", "", "test", choices=("titanium", "iron"))
ALL = (SIZE, TURN, DOSE, PLACE, METAL)


def test_strengths_grow_linearly_between_the_named_severities():
    assert [SIZE.level(severity) for severity in (0, 0.5, 1, 2.5, 4.5, 5)] == [0, 0.5, 1, 3, 8, 10]
    assert DOSE.level(0.5) == pytest.approx(0.95) and (DOSE.low, DOSE.high) == (0.2, 1.0)
    assert TURN.range(2.5) == (-3, 3) and SIZE.range(2.5) == (3, 3) and PLACE.range(2.5) == (0.2, 0.6)


def test_points_of_the_cube_become_parameters_in_units():
    assert free(ALL) == 3
    unit = torch.tensor([[0.75, 0.5, 0.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    theta = theta_at(ALL, unit, torch.tensor([5.0, 1.0]))
    assert theta[0].tolist() == pytest.approx([10, 5, 0.2, 0.4, 0])
    assert theta[1].tolist() == pytest.approx([1, -1, 0.9, 0.6, 2])
    assert is_null(ALL, theta_at(ALL, unit, 0.0)).tolist() == [True, True]
    assert not is_null(ALL, theta).any()
    check_theta("a", ALL, theta)
    said = words(ALL, theta[0].tolist())
    assert said.startswith("diameter 10 mm") and said.endswith("material titanium")


def test_parameters_outside_their_range_are_refused():
    theta = theta_at(ALL, torch.rand(2, 3, dtype=torch.float64), 3.0)
    for place, value, said in ((0, 10.5, "0 to 10 mm"), (1, -11, "-10 to 10 degrees"), (3, math.nan, "place = nan")):
        wrong = theta.clone()
        wrong[1, place] = value
        with pytest.raises(InputError, match=said):
            check_theta("a", ALL, wrong)
    with pytest.raises(InputError, match="5 parameters"):
        check_theta("a", ALL, theta[:, :4])
    with pytest.raises(InputError, match="move away"):
        Parameter("size", "", "test", levels=(1.0, 3.0, 2.0, 4.0, 5.0))
    with pytest.raises(InputError, match="must not be empty"):
        Parameter("size", "", "test", 1.0, 1.0)


def _grid(degrees, down=0.0, right=0.0, size=(40, 40)):
    """Where the pixels of the turned and shifted image come from."""
    angle = math.radians(degrees)
    rows = [[math.cos(angle), -math.sin(angle), right], [math.sin(angle), math.cos(angle), down]]
    return F.affine_grid(torch.tensor([rows]), [1, 1, *size], align_corners=False)


def test_masks_move_as_scipy_turns_them():
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[0, 8:20, 12:30], labels[0, 22:28, 5:15] = 1, 2
    angle = math.radians(10)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    offset = np.array([19.5, 19.5]) - turn @ np.array([19.5, 19.5])
    expected = ndimage.affine_transform(labels[0].numpy(), turn, offset, order=0)
    after = moved(Masks(labels), _grid(-10)).labels[0].numpy()
    assert (after != expected).mean() < 0.01 and (after > 0).sum() > 200
    both = torch.stack([labels[0] == 1, labels[0] == 2]).long()[None]
    apart = moved(Masks(both), _grid(-10)).labels[0]
    assert torch.equal(apart[0] + 2 * apart[1], torch.from_numpy(after))


def test_boxes_move_with_what_is_in_them():
    boxes = Boxes(torch.tensor([[[0.2, 0.3, 0.5, 0.6], [0, 0, 0, 0]]]), torch.tensor([[2, -1]]))
    same = moved(boxes, _grid(0))
    assert torch.allclose(same.boxes, boxes.boxes, atol=1e-6) and torch.equal(same.labels, boxes.labels)
    # The result's pixel comes from 0.2 of the half width further right: everything moves 0.1 of the width to the left.
    shifted = moved(boxes, _grid(0, right=0.2))
    assert shifted.boxes[0, 0].tolist() == pytest.approx([0.1, 0.3, 0.4, 0.6], abs=1e-5)
    turned = moved(boxes, _grid(90))
    assert turned.boxes[0, 0].tolist() == pytest.approx([0.3, 0.5, 0.6, 0.8], abs=1e-5)
    gone = moved(boxes, _grid(0, right=1.2))
    assert gone.labels.tolist() == [[-1, -1]] and share_kept(boxes, gone).tolist() == [0]


def test_the_structure_that_loses_most_says_how_much_is_left():
    labels = torch.zeros(1, 40, 40, dtype=torch.int64)
    labels[0, :, :8], labels[0, 10:20, 30:34] = 1, 2
    labels[0, 0, 39] = 255
    after = moved(Masks(labels), _grid(0, right=0.2))  # 4 pixels to the left
    assert share_kept(Masks(labels), after).tolist() == [0.5]
    assert share_kept(Masks(labels * 0), after).tolist() == [1]
    assert share_kept(torch.tensor([1, 0]), torch.tensor([1, 0])).tolist() == [1, 1]


@dataclass(frozen=True)
class Lamp(Artefact):
    """Adds a constant: an artefact of another package."""

    name = "lamp"
    parameters = (Parameter("light", "", "test", levels=(1.3, 2.3, 3.3, 4.3, 90.3)),)

    def bind(self, image, scene, streams):
        return lambda theta: image + theta[:, :1, None, None].to(image)


def lamp():
    return catalog.ArtefactEntry("lamp", "tests.artefacts.test_core:Lamp", "A lamp.", ("endoscopy",), "test.")


def test_results_are_rounded_to_what_the_file_stores():
    images = torch.tensor([[[[10.0, 250.0]]], [[[10.5, 200.0]]]])
    limits = Limits(step=torch.tensor([1.0, 0.5]).double(), origin=torch.tensor([0.0, 0.0]).double())
    scene = Scene((0.0, 255.0))
    made = Lamp()(images, torch.tensor([[1.3], [1.3]]).double(), scene, limits=limits)
    assert made.flatten().tolist() == [11, 251, 12, 201.5]
    assert Lamp()(images, torch.tensor([[90.3], [90.3]]).double(), scene, limits=limits).flatten().tolist() == [
        100, 255, 101, 255,
    ]  # fmt: skip
    theta = torch.tensor([[2.0], [2.0]], dtype=torch.float64, requires_grad=True)
    Lamp()(images, theta, scene, limits=limits).sum().backward()
    assert theta.grad.flatten().tolist() == [2, 2]


def test_packages_add_artefacts_by_entry_points(monkeypatch):
    point = EntryPoint("lamp", "tests.artefacts.test_core:lamp", catalog.ENTRY_POINT_GROUP)
    monkeypatch.setattr(catalog, "entry_points", lambda group: [point] if group == catalog.ENTRY_POINT_GROUP else [])
    catalog.artefacts.cache_clear()
    try:
        assert catalog.find("lamp").summary == "A lamp." and catalog.make("lamp") == Lamp()
        assert "lamp" in [entry.name for entry in catalog.of_modality("endoscopy")]
        monkeypatch.setattr(catalog, "entry_points", lambda group: [point, point])
        catalog.artefacts.cache_clear()
        with pytest.raises(PlanError, match="name of another artefact"):
            catalog.artefacts()
    finally:
        catalog.artefacts.cache_clear()


def test_unknown_names_get_the_nearest():
    with pytest.raises(PlanError, match="Did you mean 'brightness'"):
        catalog.find("brightnes")
    with pytest.raises(PlanError, match="Did you mean 'endoscopy'"):
        catalog.of_modality("endoscop")


def test_reading_the_catalogue_imports_no_torch():
    code = "import sys; from palpate.artefacts.catalog import artefacts; artefacts(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_notebook_needs_one_import():
    made = "palpate.artefacts.apply('noise', torch.zeros(1, 1, 8, 8), bounds=(0, 1), severity=0)"
    code = f"import palpate, torch; print({made}.words)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "standard deviation 0" in done.stdout


def test_what_an_image_lacks_is_said():
    image = torch.zeros(1, 1, 8, 8)
    theta = theta_at(catalog.make("metal").parameters, torch.full((1, 20), 0.5).double()[:, : free(
        catalog.make("metal").parameters)], 3.0)  # fmt: skip
    with pytest.raises(InputError, match="needs Hounsfield units"):
        catalog.make("metal")(image, theta, Scene((-1024, 3071), (1.0, 1.0)))
    with pytest.raises(InputError, match="needs the size of a pixel"):
        catalog.make("metal")(image, theta, Scene((-1024, 3071), None, "HU"))


@dataclass(frozen=True)
class Faulty(Lamp):
    """Gives something else than images."""

    what: str = ""

    def bind(self, image, scene, streams):
        wrong = {"shape": image[None, :, :4], "nan": image[None] * math.nan, "nothing": None}
        if self.what == "raises":
            raise ValueError("boom")
        return lambda theta: wrong[self.what]


@pytest.mark.parametrize(
    ("what", "said"),
    [("shape", r"gives the form .* in place of images \[1, 1, 8, 8\]"), ("nan", "gives NaN"),
     ("nothing", "gives the type NoneType"), ("raises", "fails: ValueError: boom")],
)  # fmt: skip
def test_a_faulty_artefact_is_named(what, said):
    with pytest.raises(InputError, match=f"artefact 'lamp' {said}"):
        Faulty(what)(torch.ones(1, 1, 8, 8), torch.tensor([[1.3]]).double(), Scene((0.0, 255.0)))
