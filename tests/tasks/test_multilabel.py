"""Several findings per image: unknown labels, operating points, goals, what is refused."""

import math

import pytest
import torch

from palpate.errors import InputError
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.multilabel_goals import AllFindings, AnyFinding, Invent, Miss

LABELS = torch.tensor([[1, 0, -1], [1, 1, 0], [-1, -1, -1]])
OUTPUTS = torch.tensor([[2.0, -1.0, 5.0], [3.0, -0.5, 1.0], [1.0, 1.0, 1.0]])


def test_margins_by_hand():
    assert MultiLabel(3, AnyFinding()).margin(OUTPUTS, LABELS).tolist() == [1.0, -1.0, 1.0]
    assert MultiLabel(3, AllFindings()).margin(OUTPUTS, LABELS).tolist() == [2.0, 3.0, 1.0]
    assert MultiLabel(3, Miss((0, 1))).margin(OUTPUTS, LABELS).tolist() == [2.0, 3.0, 1.0]
    assert MultiLabel(3, Invent((1, 2))).margin(OUTPUTS, LABELS).tolist() == [1.0, -1.0, 1.0]


def test_eligible_where_the_goal_is_about_something():
    assert MultiLabel(3).eligible(LABELS).tolist() == [True, True, False]
    assert MultiLabel(3, Miss((1,))).eligible(LABELS).tolist() == [False, True, False]
    assert MultiLabel(3, Invent((1, 2))).eligible(LABELS).tolist() == [True, True, False]


def test_score_and_right_count_known_findings_only():
    task = MultiLabel(3)
    assert task.score(OUTPUTS, LABELS).tolist()[:2] == pytest.approx([1.0, 1 / 3])
    assert task.score(OUTPUTS, LABELS)[2].isnan()
    assert task.right(OUTPUTS, LABELS).tolist() == [True, False, True]
    assert task.own(OUTPUTS, LABELS).tolist() == [[1, 0, -1], [1, 0, 1], [-1, -1, -1]]


def test_unknown_findings_count_nowhere():
    other = torch.where(LABELS == -1, -OUTPUTS, OUTPUTS)
    for goal in (AnyFinding(), AllFindings(), Miss((0, 2)), Invent((1, 2))):
        task = MultiLabel(3, goal)
        for name in ("loss", "margin", "soft_score", "score", "right"):
            one, same = getattr(task, name)(OUTPUTS, LABELS), getattr(task, name)(other, LABELS)
            assert torch.equal(one.nan_to_num(7.0), same.nan_to_num(7.0)), name
        place = OUTPUTS.clone().requires_grad_()
        value = task.loss(place, LABELS) + task.margin(place, LABELS) + task.soft_score(place, LABELS)
        (gradient,) = torch.autograd.grad(value.sum(), place)
        assert gradient.isfinite().all() and gradient[LABELS == -1].eq(0).all()


def test_thresholds_are_one_each():
    probabilities = torch.tensor([[0.25, 0.25, 0.25]])
    task = MultiLabel(3, AllFindings(), (0.2, 0.3, 0.24))
    assert task.predict(probabilities.logit()).tolist() == [[1, 0, 1]]
    margin = MultiLabel(3, Miss((1,)), (0.2, 0.3, 0.25)).margin(probabilities.logit(), torch.ones(1, 3).long())
    assert margin.item() == pytest.approx(math.log(1 / 3) - math.log(3 / 7), abs=1e-6)


def test_loss_is_binary_cross_entropy_and_climbs_to_goals():
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    loss = MultiLabel(3).loss(OUTPUTS, LABELS)
    assert loss[0].item() == pytest.approx(bce(OUTPUTS[0, :2], LABELS[0, :2].float()).item())
    assert loss[2].item() == 0
    missed = MultiLabel(3, Miss((0, 1))).loss(OUTPUTS, LABELS)
    assert missed[1].item() == pytest.approx(-bce(OUTPUTS[1, :2], torch.zeros(2)).item())


def test_nan_outputs_give_nan_margins_for_their_images_only():
    outputs = OUTPUTS.clone()
    outputs[0, 2] = torch.nan
    for goal in (AnyFinding(), AllFindings(), Miss((0,))):
        assert MultiLabel(3, goal).margin(outputs, LABELS).isnan().tolist() == [True, False, False]


def test_words():
    assert [goal.describe() for goal in (AnyFinding(), AllFindings(), Miss((1, 2)), Invent((0,), "mass"))] == [
        "untargeted",
        "all findings",
        "miss finding 1, 2",
        "invent mass",
    ]


@pytest.mark.parametrize(
    ("outputs", "labels", "goal", "words"),
    [
        (OUTPUTS[:, :2], LABELS, AnyFinding(), "3 findings"),
        (OUTPUTS, LABELS[:, :2], AnyFinding(), "labels: they are"),
        (OUTPUTS, LABELS.float(), AnyFinding(), "float32"),
        (OUTPUTS, LABELS + 1, AnyFinding(), "row 0 has 2 for finding 0"),
        (OUTPUTS * torch.nan, LABELS, AnyFinding(), "NaN"),
        (OUTPUTS, LABELS, Miss((3,)), "finding 3"),
    ],
)
def test_what_cannot_be_read_is_said(outputs, labels, goal, words):
    with pytest.raises(InputError, match=words):
        MultiLabel(3, goal).validate(outputs, labels)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MultiLabel(0), "task.findings"),
        (lambda: MultiLabel(3, thresholds=(0.5, 0.5)), "2 operating points for 3"),
        (lambda: MultiLabel(3, thresholds=(1.0,)), "between 0 and 1"),
        (lambda: Miss(()), "one or more"),
        (lambda: Invent((1, 1)), "different"),
    ],
)
def test_what_cannot_be_set_is_said(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("how", ["label", "distribution"])
def test_unknown_findings_have_no_share_in_the_disagreement(how):
    outputs, reference = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([[-1.0, 0.5, 2.0]])
    known = MultiLabel(3).consistency_loss(outputs, reference, how, torch.tensor([[1, -1, 0]]))
    torch.testing.assert_close(known, MultiLabel(2).consistency_loss(outputs[:, [0, 2]], reference[:, [0, 2]], how))
