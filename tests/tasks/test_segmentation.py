"""Segmentation with its default goal: scores by hand, empty masks, ignored pixels, gradients, what is refused."""

import math

import pytest
import torch

from palpate.annotations import Masks
from palpate.errors import InputError
from palpate.tasks.masks.goals import Erase
from palpate.tasks.segmentation import Segmentation

TRUE = torch.tensor([[[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [2, 2, 0, 0]]])


def logits_of(labels, classes, height=4.0):
    """Softmax logits whose decision is `labels`."""
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).double() * height


def test_score_is_the_mean_dice_of_the_annotated_structures():
    found = TRUE.clone()
    found[0, 1, 1] = 0  # structure 0: 3 of 4 found, none invented
    found[0, 0, 0] = 2  # structure 1: 2 of 2 found, one invented
    outputs = logits_of(found, 4)
    dice = (2 * 3 / (3 + 4), 2 * 2 / (3 + 2))
    assert Segmentation(3).score(outputs, Masks(TRUE)).item() == pytest.approx(sum(dice) / 2)
    assert Segmentation(3, metric="iou").score(outputs, TRUE).item() == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert Segmentation(3, structure=1).score(outputs, TRUE).item() == pytest.approx(dice[1])
    assert Segmentation(3, floor=0.2).margin(outputs, TRUE).item() == pytest.approx(sum(dice) / 2 - 0.2)


def test_a_score_at_its_floor_is_reached_exactly():
    found = torch.zeros_like(TRUE)
    found[0, 1, 1] = found[0, 0, 0] = 1
    truth = torch.zeros_like(TRUE)
    truth[0, 1, 1] = truth[0, 3, 3] = 1
    for height in torch.linspace(0.1, 9, 50):
        outputs = logits_of(found, 2, height).float().requires_grad_()
        assert Segmentation(1, floor=0.5).margin(outputs, truth).item() == 0
    assert not Segmentation(1, floor=0.5).right(outputs, truth).item()


def test_ignored_pixels_count_nowhere():
    task = Segmentation(2)
    outputs = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    truth = TRUE.clone()
    truth[0, :, 1] = 255
    other = outputs.clone()
    other[:, :, :, 1] = -other[:, :, :, 1]
    for name in ("loss", "margin", "score", "soft_score"):
        assert torch.equal(getattr(task, name)(outputs, truth), getattr(task, name)(other, truth))
    assert task.pieces(outputs, truth).weight.reshape(4, 4)[:, 1].eq(0).all()
    outputs.requires_grad_()
    (task.loss(outputs, truth) + task.margin(outputs, truth)).sum().backward()
    assert outputs.grad[:, :, :, 1].eq(0).all() and outputs.grad.isfinite().all()


@pytest.mark.parametrize("empty", [torch.zeros(1, 4, 4).long(), torch.full((1, 4, 4), 255)], ids=["none", "ignored"])
def test_an_empty_annotation_is_right_where_nothing_is_found_and_never_attacked(empty):
    task = Segmentation(2, floor=0.6)
    nothing, something = logits_of(torch.zeros_like(TRUE), 3), logits_of(TRUE, 3)
    assert not task.eligible(empty).item()
    assert task.score(nothing, empty).isnan().item()
    assert task.right(nothing, empty).item() and task.margin(nothing, empty).item() > 0
    found = bool((empty == 0).any())
    assert task.right(something, empty).item() is not found
    assert (task.margin(something, empty).item() > 0) is not found
    for outputs in (nothing, something):
        outputs.requires_grad_()
        (task.loss(outputs, empty) + task.margin(outputs, empty) + task.soft_score(outputs, empty)).sum().backward()
        assert outputs.grad.isfinite().all()


def test_gradients_are_finite_for_saturated_outputs():
    for task, outputs in (
        (Segmentation(2), logits_of(TRUE, 3, 1e4)),
        (Segmentation(1), logits_of(TRUE, 3)[:, :1] * 1e5),
    ):
        truth = TRUE.clamp(max=task.structures)
        for value in (task.loss, task.margin, task.soft_score, lambda o, t, k=task: k.pieces(o, t).unbroken.sum(1)):
            place = outputs.float().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(value(place, truth).sum(), place)
            assert gradient.isfinite().all()


def test_margin_has_the_gradient_of_the_soft_score():
    task = Segmentation(2)
    outputs = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    truth = TRUE.expand(3, 4, 4)
    (margin,) = torch.autograd.grad(task.margin(outputs, truth).sum(), outputs)
    (soft,) = torch.autograd.grad(task.soft_score(outputs, truth).sum(), outputs)
    assert torch.equal(margin, soft) and margin.abs().sum() > 0


def test_margin_has_exactly_the_value_of_the_decision():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(200, 3, 9, 7, generator=generator)
    truth = torch.randint(0, 3, (200, 9, 7), generator=generator)
    task = Segmentation(2, floor=0.3)
    assert torch.equal(task.margin(outputs, truth), (task.score(outputs.double(), truth) - 0.3).float())


def test_nan_outputs_give_nan_margins():
    outputs = logits_of(TRUE, 3)
    outputs[0, 0, 0, 0] = torch.nan
    assert Segmentation(2).margin(outputs, TRUE).isnan().all()


def test_soft_score_nears_the_score_as_outputs_grow():
    found = torch.randint(0, 3, (4, 6, 6), generator=torch.Generator().manual_seed(0))
    truth = torch.randint(0, 3, (4, 6, 6), generator=torch.Generator().manual_seed(1))
    for metric in ("dice", "iou"):
        task = Segmentation(2, metric=metric)
        outputs = logits_of(found, 3, 60)
        torch.testing.assert_close(task.soft_score(outputs, truth), task.score(outputs, truth))


def test_loss_is_cross_entropy_over_counted_pixels():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (2, 3, 4, 5), generator=generator)
    truth[:, 0] = 255
    outputs = torch.randn(2, 3, 3, 4, 5, generator=generator)
    expected = [
        torch.nn.functional.cross_entropy(o[None], t[None], ignore_index=255)
        for o, t in zip(outputs, truth, strict=True)
    ]
    torch.testing.assert_close(Segmentation(2).loss(outputs, truth), torch.stack(expected))
    one = outputs[:, :1]
    binary = truth.clamp(max=1).masked_fill(truth == 255, 255)
    kept = binary != 255
    expected = [
        torch.nn.functional.binary_cross_entropy_with_logits(o[0][k], t[k].float())
        for o, t, k in zip(one, binary, kept, strict=True)
    ]
    torch.testing.assert_close(Segmentation(1).loss(one, binary), torch.stack(expected))


def test_the_operating_point_moves_decision_and_pieces():
    outputs = torch.tensor([0.1, 0.25, 0.35, 0.9]).logit().reshape(1, 1, 2, 2)
    task = Segmentation(1, threshold=0.3)
    assert task.predict(outputs).tolist() == [[[0, 0], [1, 1]]]
    pieces = task.pieces(outputs, torch.ones(1, 2, 2, dtype=torch.int64))
    expected = [math.log(p / (1 - p)) - math.log(0.3 / 0.7) for p in (0.1, 0.25, 0.35, 0.9)]
    assert pieces.margin[0].tolist() == pytest.approx(expected, abs=1e-5)
    assert (pieces.margin[0] > 0).tolist() == [False, False, True, True]


def test_one_logit_and_two_agree():
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(2, 1, 5, 5, generator=generator, dtype=torch.float64)
    two = torch.cat([torch.zeros_like(one), one], 1)
    truth = torch.randint(0, 2, (2, 5, 5), generator=generator)
    task = Segmentation(1)
    for name in ("loss", "margin", "soft_score", "score"):
        torch.testing.assert_close(getattr(task, name)(one, truth), getattr(task, name)(two, truth))
    for a, b in zip(task.pieces(one, truth), task.pieces(two, truth), strict=True):
        torch.testing.assert_close(a, b)
    for how in ("label", "distribution"):
        torch.testing.assert_close(
            task.consistency_loss(one, one.flip(0), how), task.consistency_loss(two, two.flip(0), how)
        )
    assert torch.equal(task.predict(one), task.predict(two))


def test_overlapping_structures_are_read_apart():
    truth = torch.stack([TRUE == 1, TRUE > 0], 1).long()
    task = Segmentation(2, exclusive=False)
    outputs = (truth.double() * 2 - 1) * 3
    assert task.predict(outputs).dtype == torch.bool and torch.equal(task.predict(outputs), truth.bool())
    assert task.score(outputs, truth).item() == 1
    assert task.pieces(outputs, truth).loss.shape == (1, 32)
    ignored = truth.clone()
    ignored[0, 0, 0] = 255
    weight = task.pieces(outputs, ignored).weight.reshape(2, 4, 4)
    assert weight[0, 0].eq(0).all() and weight[1].eq(1).all()


def test_resampling_scores_the_decision_on_the_grid_of_the_masks():
    task = Segmentation(1, resample=True)
    truth = torch.zeros(1, 8, 8, dtype=torch.int64)
    truth[:, :, 4:] = 1
    outputs = torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]).reshape(1, 1, 2, 2).requires_grad_()
    task.validate(outputs, truth)
    assert task.score(outputs, truth).item() == 1 and task.own(outputs, truth).labels.shape == truth.shape
    (gradient,) = torch.autograd.grad(task.loss(outputs, truth).sum(), outputs)
    assert gradient.abs().min() > 0


def test_the_first_of_equal_logits_is_decided():
    outputs = torch.randint(0, 3, (2, 5, 7, 6), generator=torch.Generator().manual_seed(0)).float()
    expected = [
        [[max(range(5), key=lambda k: outputs[b, k, i, j]) for j in range(6)] for i in range(7)] for b in (0, 1)
    ]
    assert Segmentation(4).predict(outputs).tolist() == expected


def test_own_keeps_spacing_and_ignored_pixels():
    truth = TRUE.clone()
    truth[0, 0] = 255
    spacing = torch.tensor([[0.5, 2.0]])
    own = Segmentation(2).own(logits_of(torch.ones_like(TRUE), 3), Masks(truth, spacing))
    assert own.labels[0, 0].eq(255).all() and own.labels[0, 1:].eq(1).all() and own.spacing is spacing


GOOD = logits_of(TRUE, 3)


@pytest.mark.parametrize(
    ("outputs", "targets", "options", "words"),
    [
        (GOOD, TRUE.repeat_interleave(2, 1), {}, "task.resample"),
        (GOOD[:, :2], TRUE, {}, r"need \[1, 3, 4, 4\]"),
        (GOOD[..., None], TRUE, {}, "shape"),
        (GOOD, TRUE.int(), {}, "int64"),
        (GOOD, TRUE + 1, {}, "value 3"),
        (GOOD, TRUE - 1, {}, "value -1"),
        (GOOD * torch.nan, TRUE, {}, "NaN"),
        (GOOD, Masks(TRUE, torch.ones(1, 3)), {}, "spacing"),
        (GOOD, Masks(TRUE, torch.zeros(1, 2)), {}, "above 0"),
        (GOOD, TRUE, {"threshold": 0.3}, "task.threshold"),
        (GOOD, TRUE, {"goal": Erase(2)}, "structure 2"),
        (GOOD[:, :2], TRUE, {"exclusive": False}, "masks: their shape"),
        (GOOD[:, :2], TRUE[:, None].repeat(1, 3, 1, 1), {"exclusive": False}, "have 3 structures"),
    ],
)
def test_what_cannot_be_read_is_said(outputs, targets, options, words):
    with pytest.raises(InputError, match=words):
        Segmentation(2, **options).validate(outputs, targets)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"structures": 0}, "structures"),
        ({"structures": 2, "structure": 2}, "structure"),
        ({"structures": 2, "floor": 1.0}, "floor"),
        ({"structures": 2, "metric": "auc"}, "metric"),
        ({"structures": 2, "threshold": 1.0}, "threshold"),
        ({"structures": 2, "exclusive": False, "ignore": 1}, "ignore"),
    ],
)
def test_what_cannot_be_set_is_said(options, words):
    with pytest.raises(InputError, match=f"task.{words}"):
        Segmentation(**options)


@pytest.mark.parametrize("how", ["label", "distribution"])
def test_pixels_that_do_not_count_have_no_share_in_the_disagreement(how):
    generator = torch.Generator().manual_seed(0)
    outputs, reference = torch.randn(2, 1, 1, 4, 4, generator=generator)
    truth = torch.zeros(1, 4, 4, dtype=torch.int64)
    truth[:, 2:] = 255
    task = Segmentation(1)
    counted = task.consistency_loss(outputs, reference, how, truth)
    torch.testing.assert_close(counted, task.consistency_loss(outputs[:, :, :2], reference[:, :, :2], how))
    changed = outputs.clone()
    changed[:, :, 2:] += 5
    torch.testing.assert_close(counted, task.consistency_loss(changed, reference, how, truth))
