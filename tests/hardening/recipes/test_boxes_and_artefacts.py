"""Detectors are attacked in parts of their loss; artefacts move what is annotated along."""

from dataclasses import replace

import pytest
import torch

from palpate.annotations import Boxes, Masks
from palpate.artefacts.artefact import Scene as ImageScene
from palpate.artefacts.catalog import make as artefact_of
from palpate.artefacts.moving import moved
from palpate.artefacts.parameter import free, theta_at
from palpate.errors import InputError
from palpate.hardening.recipes.artefacts import Artefacts
from palpate.hardening.recipes.boxes import ClassOnly, PlaceOnly
from palpate.hardening.recipes.gradient import Fast, Pgd
from palpate.streams import Streams
from palpate.threats.ball import Linf
from tests.hardening.recipes.scenes import BOUNDS, COUNT, EPS, SCENES


@pytest.fixture(scope="module")
def boxes():
    return SCENES["boxes"]()


def of_parts(scene, images):
    """Class and place part of the loss of each image (2, B)."""
    situation = scene.situation()
    with situation.victim, torch.no_grad():
        outputs = situation.victim.judge(images)
    return torch.stack([part(scene.task)(outputs, scene.targets) for part in (ClassOnly, PlaceOnly)])


def test_the_parts_of_the_loss_of_boxes_sum_to_it(boxes):
    situation = boxes.situation()
    with situation.victim, torch.no_grad():
        whole = boxes.task.loss(situation.victim.judge(boxes.images), boxes.targets)
    parts = of_parts(boxes, boxes.images)
    assert torch.allclose(parts.sum(0), whole)
    assert (parts > 0).all()


def test_an_attack_on_a_part_raises_that_part_more_than_the_other_attack_does(boxes):
    situation = boxes.situation(Linf(EPS))
    by = {
        part: of_parts(boxes, Pgd(steps=5, boxes=part).craft(boxes.batch(), situation).images).mean(1)
        for part in ("class", "place", "summed")
    }
    assert by["class"][0] > by["place"][0]
    assert by["place"][1] > by["class"][1]
    assert by["summed"].sum() >= max(by["class"].sum(), by["place"].sum()) - 0.02


@pytest.mark.parametrize("kind", [Fast, Pgd])
def test_alternating_attacks_some_images_in_one_part_and_the_rest_in_the_other_at_the_same_cost(boxes, kind):
    situation = boxes.situation(Linf(EPS))
    made = kind(boxes="alternating").craft(boxes.batch(), situation).images
    cost = (situation.victim.forwards, situation.victim.backwards)
    whole = boxes.situation(Linf(EPS))
    kind().craft(boxes.batch(), whole)
    assert cost == (whole.victim.forwards, whole.victim.backwards)
    # Each image has drawn its part before its noise.
    batch = boxes.batch()
    first = batch.streams.uniform((1,), torch.zeros(1, dtype=torch.float64)).flatten() < 0.5
    assert 0 < int(first.sum()) < COUNT
    for part, rows in (("class", first), ("place", ~first)):
        batch = boxes.batch()
        batch.streams.uniform((1,), torch.zeros(1, dtype=torch.float64))
        alone = kind(boxes=part).craft(batch, situation).images
        assert torch.allclose(alone[rows], made[rows])


def larger_boxes():
    """Boxes of few pixels cannot be followed."""
    scene = SCENES["boxes"]()
    return replace(scene, images=torch.nn.functional.interpolate(scene.images, scale_factor=4).round())


# -- artefacts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["masks", "overlapping", "boxes"])
def test_annotations_move_with_the_anatomy(name):
    scene = SCENES[name]() if name != "boxes" else larger_boxes()
    made = Artefacts(("position",), draws=1, severity=5.0, clean_share=0).craft(scene.batch(), scene.situation())
    artefact = artefact_of("position")
    like = torch.zeros(1, dtype=torch.float64)
    for row in range(COUNT):
        stream = Streams([101 + row])
        stream.uniform((1,), like)
        _, strength, _ = stream.uniform((3,), like)[0].tolist()
        theta = theta_at(artefact.parameters, stream.uniform((free(artefact.parameters),), like), 5.0 * strength)
        grid = artefact.grid(tuple(scene.images.shape[2:]), theta, ImageScene(BOUNDS))
        own = type(scene.targets)(*(None if part is None else part[row : row + 1] for part in scene.targets))
        wanted = moved(own, grid)
        if isinstance(wanted, Masks):
            same = bool((made.targets.labels[row] == wanted.labels[0]).all())
        else:
            same = torch.allclose(made.targets.boxes[row], wanted.boxes[0].to(made.targets.boxes))
        # A draw that takes most of the annotation out of the image is not used.
        assert same or torch.equal(made.images[row], scene.images[row])
    before, after = scene.targets[0], made.targets[0]
    assert not torch.equal(before, after)


def test_plain_labels_of_masks_move_too_and_stay_plain():
    scene = SCENES["masks"]()
    batch = scene.batch()
    recipe = Artefacts(("position",), draws=2, severity=5.0)
    wrapped = recipe.craft(scene.batch(), scene.situation())
    plain = recipe.craft(batch._replace(targets=scene.targets.labels), scene.situation())
    assert isinstance(plain.targets, torch.Tensor)
    assert torch.equal(plain.targets, wrapped.targets.labels)
    assert torch.equal(plain.images, wrapped.images)


def test_labels_of_classes_stay_as_they_are():
    scene = SCENES["softmax"]()
    made = Artefacts(("position", "noise"), clean_share=0).craft(scene.batch(), scene.situation())
    assert torch.equal(made.targets, scene.targets)


def test_a_severity_of_almost_nothing_changes_almost_nothing():
    scene = SCENES["softmax"]()
    mild, strong = (
        Artefacts(("noise",), severity=severity, draws=1, clean_share=0).craft(scene.batch(), scene.situation())
        for severity in (0.05, 5.0)
    )
    clean = scene.images
    assert (mild.images - clean).abs().mean() < 0.2 * (strong.images - clean).abs().mean()


def test_an_artefact_that_needs_what_is_not_known_is_refused_and_works_where_it_is():
    scene = SCENES["softmax"]()
    grey = scene.batch()._replace(images=scene.images[:, :1])

    class First(torch.nn.Module):
        def forward(self, images):
            return scene.module(images.expand(-1, 3, -1, -1))

    situation = scene.situation()
    situation.victim.module = First()
    with pytest.raises(InputError, match="Hounsfield units"):
        Artefacts(("low-dose",), draws=1).craft(grey, situation)
    made = Artefacts(("low-dose",), draws=1, unit="HU", spacing=(1.0, 1.0), clean_share=0).craft(grey, situation)
    assert (made.images != grey.images).any()


def test_boxes_that_leave_the_image_are_padding_and_the_number_of_places_stays():
    scene = larger_boxes()
    made = Artefacts(("position",), draws=3, severity=5.0).craft(scene.batch(), scene.situation())
    assert isinstance(made.targets, Boxes)
    assert made.targets.labels.shape == scene.targets.labels.shape
    assert ((made.targets.labels >= 0).sum(1) >= (scene.targets.labels >= 0).sum(1) * 0.5).all()
