"""Detectors of torchvision and MONAI: our decision on their candidates is their own, and gradients reach the image."""

import pytest
import torch
from torch import nn

from palpate.annotations import Boxes, Detections
from palpate.errors import InputError
from palpate.models.detectors.monai import MonaiRetinaNet
from palpate.models.detectors.shipped.known import known
from palpate.models.detectors.torchvision import TorchvisionDetector
from palpate.tasks.detection import Detection
from tests.models import torchvision_beside

torchvision = torchvision_beside.load()
pytestmark = pytest.mark.skipif(torchvision is None, reason="torchvision is not installed")

SIZE, CONFIDENCE = 64, 0.55


class Backbone(nn.Sequential):
    out_channels = 32

    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 5, 4, 2), nn.Tanh(), nn.Conv2d(8, 32, 3, 2, 1), nn.Tanh())


def retinanet():
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    anchors = AnchorGenerator(((12, 24),), ((0.5, 1.0),))
    return RetinaNet(Backbone(), 3, anchor_generator=anchors, **shared())


def fcos():
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return FCOS(Backbone(), 3, anchor_generator=AnchorGenerator(((8,),), ((1.0,),)), **shared())


def ssd():
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD

    backbone = Backbone()
    backbone.out_channels = [32]
    return SSD(
        backbone,
        DefaultBoxGenerator([[2]]),
        (SIZE, SIZE),
        4,
        score_thresh=CONFIDENCE,
        nms_thresh=0.5,
        topk_candidates=999,
        detections_per_img=100,
    )


def faster_rcnn():
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    anchors = AnchorGenerator(((12, 24),), ((0.5, 1.0),))
    pool = MultiScaleRoIAlign(["0"], output_size=3, sampling_ratio=1)
    limits = {"box_score_thresh": CONFIDENCE, "box_nms_thresh": 0.5, "box_detections_per_img": 100}
    sizes = {"min_size": SIZE, "max_size": SIZE, "rpn_post_nms_top_n_test": 40}
    return FasterRCNN(Backbone(), 4, rpn_anchor_generator=anchors, box_roi_pool=pool, **limits, **sizes)


def shared():
    limits = {"score_thresh": CONFIDENCE, "nms_thresh": 0.5, "detections_per_img": 100}
    return {"min_size": SIZE, "max_size": SIZE, **limits}


def lively(model):
    """Random weights under which many candidates pass the threshold, and some do not."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            fan = max(1, parameter[0].numel())
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan**0.5)
    # In float64 no two candidates are so near that rounding decides which one suppresses the other.
    return model.eval().double()


def pictures(count=2, height=48, width=SIZE):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def agree(found, row, boxes, labels, scores, size):
    order = scores.argsort(descending=True, stable=True)
    count = int((found.labels[row] >= 0).sum())
    assert count == len(order) > 1
    assert found.labels[row, :count].tolist() == labels[order].tolist()
    assert torch.allclose(found.confidence[row, :count], scores[order], atol=1e-5)
    assert torch.allclose(found.boxes[row, :count] * size, boxes[order], atol=1e-3)


@pytest.mark.parametrize(("build", "first"), [(retinanet, 0), (fcos, 0), (ssd, 1)])
def test_decisions_are_those_of_torchvision(build, first):
    model = lively(build())
    adapter = TorchvisionDetector(model)
    images = pictures()
    task = Detection(3, head=adapter.head, confidence=CONFIDENCE)
    with torch.no_grad():
        found = task.predict(adapter(images))
        expected = model(list(images))
    assert min((found.labels >= 0).sum(1)) < adapter(images).logits.shape[1]
    for row, one in enumerate(expected):
        agree(found, row, one["boxes"], one["labels"] - first, one["scores"], torch.tensor([SIZE, 48, SIZE, 48]))


@pytest.mark.parametrize("build", [retinanet, fcos, ssd])
def test_gradients_reach_every_image_of_torchvision(build):
    adapter = TorchvisionDetector(lively(build()))
    check_gradients(adapter, Detection(3, head=adapter.head))


def test_every_proposal_of_two_stages_is_a_candidate_and_the_decision_is_torchvisions(monkeypatch):
    # Without its compiled operators torchvision would compile this one, which takes minutes.
    monkeypatch.setattr("torch._dynamo.config.disable", True)
    model = lively(faster_rcnn())
    library = known(model, 3)
    assert library.head == "softmax" and library.suppression == 0.5
    images, task = pictures(), Detection(3, head="softmax", confidence=CONFIDENCE)
    with torch.no_grad():
        found, expected = task.predict(library.module(images)), model(list(images))
    for row, one in enumerate(expected):
        agree(found, row, one["boxes"], one["labels"] - 1, one["scores"], torch.tensor([SIZE, 48, SIZE, 48]))
    check_gradients(library.module, task)


def test_a_class_that_is_never_trained_is_left_out():
    model = lively(retinanet())
    whole, without = known(model, 3), known(model, 2)
    assert whole.module(pictures()).logits.shape[2] == 3
    assert torch.equal(without.module(pictures()).logits, whole.module(pictures()).logits[..., 1:])
    assert known(nn.Linear(1, 1), 2) is None


def check_gradients(adapter, task):
    images = pictures().requires_grad_()
    truth = Boxes(torch.tensor([[[0.1, 0.1, 0.5, 0.6]], [[0.0, 0.0, 0.0, 0.0]]]), torch.tensor([[1], [-1]]))
    outputs = adapter(images)
    task.validate(outputs, truth)
    (gradient,) = torch.autograd.grad(task.loss(outputs, truth).sum(), images)
    assert gradient.isfinite().all() and gradient.flatten(1).any(1).all()


def test_other_modules_are_refused():
    with pytest.raises(InputError, match="Linear is not one of torchvision's RetinaNet, FCOS, SSD"):
        TorchvisionDetector(nn.Linear(1, 1))
    with pytest.raises(InputError, match="Linear is not a RetinaNetDetector"):
        MonaiRetinaNet(nn.Linear(1, 1))


class Extractor(Backbone):
    def forward(self, images):
        return {"0": super().forward(images)}


def monai_detector(spatial_dims=2):
    from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
    from monai.apps.detection.networks.retinanet_network import RetinaNet
    from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape

    network = RetinaNet(spatial_dims, 3, 2, Extractor(), size_divisible=(16,) * spatial_dims)
    shapes = [[12, 20], [24, 10]] if spatial_dims == 2 else [[12, 20, 8], [24, 10, 8]]
    detector = RetinaNetDetector(network, AnchorGeneratorWithAnchorShape((1,), shapes))
    detector.set_box_selector_parameters(
        score_thresh=CONFIDENCE, nms_thresh=0.5, topk_candidates_per_level=999, detections_per_img=100
    )
    return detector


def of_a_pixel(found, size):
    """MONAI drops boxes of which less than one pixel, along some axis, lies in the image."""
    empty = ((found.boxes[..., 2:] - found.boxes[..., :2]) * size < 1).any(-1)
    order = empty.long().argsort(dim=1, stable=True)
    boxes = found.boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return Detections(boxes, found.labels.masked_fill(empty, -1).gather(1, order), found.confidence.gather(1, order))


# Sides that the network's stride divides, and sides that are padded to it.
@pytest.mark.parametrize(("height", "width"), [(48, 64), (41, 60)])
def test_decisions_are_those_of_monai(height, width):
    detector = lively(monai_detector())
    images = pictures(2, height, width)
    task = Detection(3, confidence=CONFIDENCE)
    with torch.no_grad():
        found = of_a_pixel(task.predict(MonaiRetinaNet(detector)(images)), torch.tensor([width, height]))
        expected = detector(images)
    for row, one in enumerate(expected):
        boxes = one["boxes"][:, [1, 0, 3, 2]]
        agree(found, row, boxes, one["labels"], one["labels_scores"], torch.tensor([width, height, width, height]))


def test_gradients_reach_every_image_of_monai():
    check_gradients(MonaiRetinaNet(lively(monai_detector())), Detection(3))


def test_a_detector_for_volumes_is_refused():
    with pytest.raises(InputError, match="2D only"):
        MonaiRetinaNet(monai_detector(3))
