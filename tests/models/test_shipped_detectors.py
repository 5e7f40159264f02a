"""What shipped detectors return, in every arrangement, becomes the same candidates; what is wrong gets one sentence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from palpate.annotations import Boxes, Decided
from palpate.errors import InputError
from palpate.models.detectors.forms import BOX_FORMS
from palpate.models.detectors.shipped import Form, Said, ShippedDetector, recognised
from palpate.tasks.detection import Detection

HEIGHT, WIDTH, K = 40, 80, 2
IMAGES = torch.zeros(2, 3, HEIGHT, WIDTH)
TRUTH = Boxes(
    torch.tensor([[[0.1, 0.2, 0.5, 0.6], [0.6, 0.1, 0.9, 0.4]], [[0.3, 0.3, 0.7, 0.9], [0.0, 0.0, 0.0, 0.0]]]),
    torch.tensor([[0, 1], [1, -1]]),
)
"""Two boxes in the first image, one in the second."""
PIXELS = TRUTH.boxes * torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
SCORES = torch.tensor([[0.9, 0.8], [0.7, 0.0]])
COUNTS = (2, 1)


def centred(boxes):
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], dim=-1)


def tables(first=1, boxes=PIXELS, names=("boxes", "labels", "scores")):
    """A dict per image, as torchvision and MONAI give it."""
    parts = zip(boxes, TRUTH.labels + first, SCORES, COUNTS, strict=True)
    return [dict(zip(names, (b[:n], c[:n], s[:n]), strict=True)) for b, c, s, n in parts]


def rows():
    """Six numbers a box, padded with zeros."""
    found = torch.zeros(2, 4, 6)
    for place, count in enumerate(COUNTS):
        found[place, :count] = torch.cat(
            [PIXELS[place], SCORES[place, :, None], TRUTH.labels[place, :, None].float()], dim=1
        )[:count]
    return found


def numbered():
    """Image, box, class, score."""
    found = rows()
    flat = [
        torch.cat([torch.full((count, 1), float(place)), part[:count, :4], part[:count, [5, 4]]], 1)
        for place, (part, count) in enumerate(zip(found, COUNTS, strict=True))
    ]
    return torch.cat(flat)


def head(objectness=False):
    """A raw head (B, 4 + K, N) of YOLO with some quiet places after the boxes."""
    quiet = torch.full((2, 4 + K, 50), 0.05)
    quiet[:, :4] = torch.tensor([20.0, 20.0, 3.0, 3.0])[:, None]
    quiet[:, :4, :2] = centred(PIXELS).transpose(1, 2)
    for place, count in enumerate(COUNTS):
        for box in range(count):
            quiet[place, 4 + TRUTH.labels[place, box], box] = SCORES[place, box]
    if not objectness:
        return quiet
    return torch.cat([quiet[:, :4], torch.ones(2, 1, 50), quiet[:, 4:]], 1).transpose(1, 2)


def parts():
    """Several outputs, padded, with the number of real boxes."""
    found = rows()
    return {
        "num_dets": torch.tensor([[2], [1]]),
        "det_boxes": found[..., :4],
        "det_scores": found[..., 4],
        "det_classes": found[..., 5].int(),
    }


def swapped():
    return tables(0, PIXELS[..., [1, 0, 3, 2]], ("box", "label", "label_scores"))


ANSWERS = {
    "torchvision": (tables, Form("decided boxes", "pixels", first_class=1)),
    "compiled torchvision": (lambda: ({}, tables()), Form("decided boxes", "pixels", first_class=1)),
    "monai": (swapped, Form("decided boxes", "yx pixels")),
    "several outputs": (parts, Form("decided boxes", "pixels")),
    "a plain tuple": (lambda: tuple(parts().values())[1:], Form("decided boxes", "pixels")),
    "rows": (rows, Form("rows", "pixels")),
    "numbered rows": (numbered, Form("numbered rows", "pixels", columns="class, score")),
    "yolo": (lambda: {"output0": head()}, Form("raw head", "pixel centres")),
    "yolo with objectness": (lambda: (head(True), [head()]), Form("raw head with objectness", "pixel centres")),
}


class Returns(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer


def seen(answer, **said):
    return recognised(answer, (HEIGHT, WIDTH), TRUTH, K, Said(**said)).form


@pytest.mark.parametrize("name", ANSWERS)
def test_every_arrangement_gives_the_same_detections(name):
    make, form = ANSWERS[name]
    assert seen(make()) == form
    outputs = ShippedDetector(Returns(make()), form, K)(IMAGES)
    assert isinstance(outputs, Decided) is form.decided
    task = Detection(K)
    task.validate(outputs, TRUTH)
    found = task.predict(outputs)
    for place, count in enumerate(COUNTS):
        assert int((found.labels[place] >= 0).sum()) == count
        assert torch.equal(found.labels[place, :count], TRUTH.labels[place, :count])
        assert torch.allclose(found.confidence[place, :count], SCORES[place, :count], atol=1e-5)
        assert torch.allclose(found.boxes[place, :count], TRUTH.boxes[place, :count], atol=1e-5)


def test_the_gradient_is_that_of_the_scores_and_boxes_that_are_left():
    logits = torch.tensor([1.0, -2.0], requires_grad=True)
    kept = logits[logits > 0]
    answer = [{"boxes": PIXELS[0, :1] * kept, "labels": torch.tensor([1]), "scores": kept.sigmoid()}]
    outputs = ShippedDetector(Returns(answer), Form("decided boxes", "pixels", first_class=1), K)(IMAGES[:1])
    (gradient,) = torch.autograd.grad(outputs.logits[0, 0, 0], logits, retain_graph=True)
    assert gradient == pytest.approx([1.0, 0.0], abs=1e-5)
    (gradient,) = torch.autograd.grad(outputs.boxes[0, 0, 2], logits)
    assert gradient == pytest.approx([0.5, 0.0])


def test_without_any_box_the_gradient_is_zero_and_not_missing():
    nothing = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)}] * 2
    images = IMAGES.clone().requires_grad_()
    outputs = ShippedDetector(Returns(nothing), Form("decided boxes", "pixels"), K)(images)
    assert not (Detection(K).predict(outputs).labels >= 0).any()
    (gradient,) = torch.autograd.grad(outputs.logits.sum(), images)
    assert not gradient.any()


def test_decided_boxes_are_not_suppressed_again():
    twice = [{"boxes": PIXELS[0, [0, 0]], "labels": torch.tensor([0, 0]), "scores": SCORES[0]}]
    outputs = ShippedDetector(Returns(twice), Form("decided boxes", "pixels"), K)(IMAGES[:1])
    assert int((Detection(K).predict(outputs).labels >= 0).sum()) == 2


def test_scores_of_one_and_zero_stay_finite_and_logits_stay_logits():
    certain = [{"boxes": PIXELS[0], "labels": torch.tensor([0, 1]), "scores": torch.tensor([1.0, 0.0])}]
    outputs = ShippedDetector(Returns(certain), Form("decided boxes", "pixels"), K)(IMAGES[:1])
    assert outputs.logits.isfinite().all() and outputs.logits[0, 0, 0] > 10
    raw = {"boxes": TRUTH.boxes, "logits": torch.tensor([[[3.0, -1.0], [0.0, 2.0]]] * 2)}
    form = seen(raw)
    assert form == Form("class scores", "fractions", "logits")
    assert torch.equal(ShippedDetector(Returns(raw), form, K)(IMAGES).logits, raw["logits"])


def test_a_probability_with_objectness_is_their_product():
    outputs = torch.zeros(1, 1, 5 + K)
    outputs[..., 4], outputs[..., 5] = 0.5, 0.4
    found = ShippedDetector(Returns(outputs), Form("raw head with objectness", "pixels"), K)(IMAGES[:1])
    assert float(found.logits[0, 0, 0]) == pytest.approx(math.log(0.2 / 0.8), rel=1e-5)


@pytest.mark.parametrize("form", BOX_FORMS)
def test_what_the_numbers_of_a_box_are_is_seen_from_the_annotated_ones(form):
    boxes = PIXELS if "pixel" in form else TRUTH.boxes
    if form.startswith("yx"):
        boxes = boxes[..., [1, 0, 3, 2]]
    elif "centres" in form:
        boxes = centred(boxes)
    elif "sizes" in form:
        boxes = torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1)
    assert seen(tables(0, boxes)) == Form("decided boxes", form)


WRONG = {
    "without scores": ([{"boxes": PIXELS[0], "labels": TRUTH.labels[0]}] * 2, {}, "boxes without scores"),
    "mixed": ([tables()[0], PIXELS[1]], {}, "some parts have names and others have not"),
    "another head": (torch.zeros(2, 4 + 9, 50), {}, r"has 9 classes \(8 with objectness\), and task.classes names 2"),
    "too few images": (tables()[:1], {}, "boxes of 1 images for 2"),
    "no boxes": (torch.zeros(2, 9), {}, "palpate recognises no boxes in it"),
    "not fractions": (tables(), {"boxes": "fractions"}, r'reach 72, so they are pixels.*Write boxes = "pixels"'),
    "not pixels": (tables(1, TRUTH.boxes), {"boxes": "pixels"}, r'only 0.9, so they are fractions.*"fractions"'),
    "numbered from 1": (tables(1), {"first_class": 0}, r"labels are 1 to 2.*Write model\.first_class = 1"),
    "more classes": (tables(7), {}, "labels are 7 to 8, and task.classes names 2"),
}


def trained(objectness, classes, turned=False):
    """A raw head of 100 places with two boxes: a class beside each objectness, and one class alone without it."""
    places = torch.full((2, 100, 4 + objectness + classes), 0.02)
    places[..., :4] = torch.tensor([20.0, 20.0, 3.0, 3.0])
    places[:, :2, :4] = centred(PIXELS)
    places[:, :2, 4] = 0.9
    if objectness:
        places[:, 2:, 5:] = torch.linspace(0.1, 0.9, 98)[:, None]
        places[:, :2, 5] = 0.9
    # Places are along the last axis without objectness, and along the middle one with it, if they are not turned.
    return places.transpose(1, 2) if objectness == turned else places


def test_a_head_of_one_class_more_is_not_read_as_a_turned_head_with_objectness():
    with pytest.raises(InputError, match=r"3 classes without objectness.*or 2 with.*3 classes in task\.classes"):
        seen(trained(False, 3))
    with pytest.raises(InputError, match=r"2 classes with objectness.*or 3 without.*model\.objectness = false"):
        recognised(trained(True, 2), (HEIGHT, WIDTH), TRUTH, 3)
    noise = torch.rand(2, 7, 100, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="its values do not say which"):
        seen(noise)


def test_a_turned_head_is_read_if_its_values_or_the_plan_say_what_it_is():
    assert seen(trained(True, 2, turned=True)).layout == "raw head with objectness"
    assert recognised(trained(False, 3, turned=True), (HEIGHT, WIDTH), TRUTH, 3).form.layout == "raw head"
    assert seen(trained(False, 3), objectness=True).layout == "raw head with objectness"
    form = Form("raw head with objectness", "pixel centres")
    assert ShippedDetector(Returns(trained(False, 3)), form, K)(IMAGES).logits.shape == (2, 100, 2)


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_gets_a_sentence(name):
    answer, said, text = WRONG[name]
    with pytest.raises(InputError, match=text):
        seen(answer, **said)


def test_boxes_that_are_no_numbers_are_refused():
    broken = tables()
    broken[0]["boxes"] = broken[0]["boxes"] * math.nan
    outputs = ShippedDetector(Returns(broken), Form("decided boxes", "pixels", first_class=1), K)(IMAGES)
    with pytest.raises(InputError, match="NaN or infinite for 1 of 2 images"):
        Detection(K).validate(outputs, TRUTH)


def test_another_form_during_a_run_is_refused():
    detector = ShippedDetector(Returns(head()), Form("rows", "pixels"), K)
    with pytest.raises(InputError, match="its first outputs were rows, and now it returns raw head"):
        detector(IMAGES)
