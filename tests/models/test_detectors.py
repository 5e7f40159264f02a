"""Our own detector and the adapter for Hugging Face: the decisions that others make of them, and gradients."""

import pytest
import torch

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.models.detectors import CentreDetector, centre_loss
from palpate.models.detectors.geometry import from_centres, giou, pairwise_iou
from palpate.models.detectors.huggingface import HuggingFaceDetector
from palpate.tasks.criteria import Bipartite
from palpate.tasks.detection import Detection
from palpate.victim.folding import fold_batch_norms

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def yolos():
    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=12,
        num_labels=3,
    )
    return transformers.YolosForObjectDetection(config)


def detr():
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=12,
        num_labels=3,
    )
    return transformers.DetrForObjectDetection(config)


@pytest.fixture(params=[yolos, detr])
def model(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = request.param().eval()
    # Random heads say much the same of every query; spread out, they say different things.
    with torch.no_grad():
        for part in (built.class_labels_classifier, built.bbox_predictor):
            for parameter in part.parameters():
                parameter.mul_(8)
    return built


def pictures(count=3, size=64):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def boxes():
    drawn = torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.9, 0.6]]).expand(3, 2, 4)
    return Boxes(drawn, torch.tensor([[0, 2], [1, -1], [-1, -1]]))


def test_detections_are_those_of_the_image_processor(model):
    images = pictures()
    task = Detection(3, head="softmax", confidence=0.3, suppression=1.0)
    with torch.no_grad():
        found = task.predict(HuggingFaceDetector(model)(images))
        raw = model(pixel_values=images)
    # From 5 on, the processor without torchvision has a name of its own.
    newer = getattr(transformers.models.yolos, "image_processing_pil_yolos", None)
    processor = newer.YolosImageProcessorPil() if newer else transformers.YolosImageProcessor()
    expected = processor.post_process_object_detection(raw, threshold=0.3, target_sizes=[(1, 1)] * 3)
    assert sum(len(one["scores"]) for one in expected) > 0
    for row, one in enumerate(expected):
        order = one["scores"].argsort(descending=True)
        count = int((found.labels[row] >= 0).sum())
        assert found.labels[row, :count].tolist() == one["labels"][order].tolist()
        assert torch.allclose(found.confidence[row, :count], one["scores"][order], atol=1e-6)
        assert torch.allclose(found.boxes[row, :count], one["boxes"][order].clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("criterion", [None, Bipartite()])
def test_gradients_reach_every_image_with_boxes_or_without(model, criterion):
    images = pictures().requires_grad_()
    task = Detection(3, head="softmax", criterion=criterion)
    (gradient,) = torch.autograd.grad(task.loss(HuggingFaceDetector(model)(images), boxes()).sum(), images)
    assert gradient.isfinite().all()
    assert gradient.flatten(1).abs().amax(1).gt(0).all()


def test_bipartite_is_the_loss_that_the_model_is_trained_with(model):
    images, targets = pictures(), boxes()
    with torch.no_grad():
        mine = Bipartite()(HuggingFaceDetector(model)(images), targets)
        for row in range(2):
            real = targets.labels[row] >= 0
            corners = targets.boxes[row][real]
            centred = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
            labels = [{"class_labels": targets.labels[row][real], "boxes": centred}]
            theirs = model(pixel_values=images[row : row + 1], labels=labels).loss
            assert torch.allclose(mine[row], theirs, rtol=1e-4)


def test_bipartite_refuses_more_boxes_than_candidates():
    candidates = Candidates(torch.zeros(1, 1, 3), torch.rand(1, 1, 4))
    with pytest.raises(InputError, match="2 in one image"):
        Bipartite()(candidates, Boxes(torch.rand(1, 2, 4), torch.zeros(1, 2, dtype=torch.int64)))


def test_a_model_without_boxes_is_refused():
    class Other(torch.nn.Module):
        def forward(self, pixel_values):
            return pixel_values

    with pytest.raises(InputError, match="pred_boxes"):
        HuggingFaceDetector(Other())(pictures())


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("size", [(64, 64), (33, 70), (41, 128)])
def test_centre_detector_gives_one_candidate_per_point_at_any_size(stride, size):
    detector = CentreDetector(2, width=8, stride=stride).eval()
    found = detector(torch.rand(2, 3, *size))
    points = detector.points(*size)
    assert found.logits.shape == (2, len(points), 2) and found.boxes.shape == (2, len(points), 4)
    inside = (found.boxes[..., :2] < points) & (points < found.boxes[..., 2:])
    assert inside.all()


def test_centre_detector_folds_to_the_same_function():
    detector = CentreDetector(2, width=8)
    images = torch.rand(4, 3, 48, 48)
    detector(images)
    detector.eval()
    folded = fold_batch_norms(detector, images[:1])
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        for before, after in zip(detector(images), folded(images), strict=True):
            assert torch.allclose(before, after, atol=1e-4)


def test_centre_detector_is_small_enough_to_ship():
    assert sum(p.numel() for p in CentreDetector(3).parameters()) * 4 < 500_000


@pytest.mark.parametrize("stride", [0, 16])
def test_centre_detector_refuses_other_strides(stride):
    with pytest.raises(InputError, match="stride"):
        CentreDetector(2, stride=stride)


def test_centre_loss_is_least_for_the_annotated_boxes_and_defined_without_any():
    detector = CentreDetector(2, width=8)
    points = detector.points(64, 64)
    square = torch.tensor([[[0.25, 0.25, 0.75, 0.75]]])
    targets = Boxes(square, torch.tensor([[1]]))
    inside = ((points - 0.5).abs() <= 0.125).all(1)
    logits = torch.full((1, len(points), 2), -12.0)
    logits[0, inside, 1] = 12.0
    proposed = square.expand(1, len(points), 4)
    right = centre_loss(Candidates(logits, proposed), targets, points)
    moved = centre_loss(Candidates(logits, proposed + 0.1), targets, points)
    other = centre_loss(Candidates(logits.flip(2), proposed), targets, points)
    assert right < 1e-3 < moved < other
    nothing = Boxes(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.int64))
    assert centre_loss(Candidates(torch.full_like(logits, -12.0), proposed), nothing, points) < 1e-3
    assert centre_loss(Candidates(logits, proposed), nothing, points) > 1


def test_centre_loss_per_box_weighs_small_and_large_boxes_alike():
    detector = CentreDetector(1, width=8)
    points = detector.points(128, 128)
    large, small = [0.0, 0.0, 0.6, 0.6], [0.8, 0.8, 0.86, 0.86]
    targets = Boxes(torch.tensor([[large, small, [0.0] * 4]]), torch.tensor([[0, 0, -1]]))

    def missed(which, **settings):
        """Loss of a detector that has all boxes right but one, which it does not see."""
        boxes = torch.tensor(large).expand(1, len(points), 4).clone()
        boxes[0, (points > 0.7).all(1)] = torch.tensor(small)
        logits = torch.full((1, len(points), 1), -9.0)
        for corners in (large, small):
            centre, half = (corners[0] + corners[2]) / 2, (corners[2] - corners[0]) / 4
            away = (points - centre).abs().amax(1)
            if corners is not which:
                logits[0, (away <= half) | (away == away.min()), 0] = 9.0
        return centre_loss(Candidates(logits, boxes), targets, points, **settings)

    assert missed(large) > 10 * missed(small)
    assert torch.isclose(missed(large, per_box=True), missed(small, per_box=True), rtol=1e-3)
    assert torch.isclose(missed(large, per_box=True) + missed(small, per_box=True), missed(large) + missed(small))


def test_geometry_by_hand():
    first = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    second = torch.tensor([[1.0, 1.0, 3.0, 3.0], [4.0, 0.0, 6.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    assert torch.allclose(pairwise_iou(first, second), torch.tensor([[1 / 7, 0.0, 1.0]]))
    assert torch.allclose(giou(first, second), torch.tensor([1 / 7 - 2 / 9, -4 / 12, 1.0]))
    assert from_centres(torch.tensor([2.0, 3.0, 2.0, 4.0])).tolist() == [1.0, 1.0, 3.0, 5.0]
