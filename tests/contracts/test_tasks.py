"""Classification, with every head and goal, against the contracts of a task and definitions written apart."""

import pytest
import torch

from palpate.checks import TASK_CONTRACTS
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Towards, Untargeted, hide_disease, invent_disease
from palpate.tasks.heads import Cumulative, OneLogit, Softmax


def decided(head, outputs):
    """The decision, written without the head's own code."""
    if isinstance(head, Softmax):
        return torch.tensor([max(range(len(row)), key=lambda k: row[k]) for row in outputs.tolist()])
    if isinstance(head, OneLogit):
        return torch.tensor([int(1 / (1 + 2.718281828459045 ** -row[0]) > head.threshold) for row in outputs.tolist()])
    grades = []
    for row in outputs.tolist():
        grade = 0
        while grade < len(row) and row[grade] > 0:
            grade += 1
        grades.append(grade)
    return torch.tensor(grades)


CASES = [
    (classes, head, goal)
    for classes, head in [
        (2, Softmax()),
        (3, Softmax()),
        (5, Softmax()),
        (2, OneLogit()),
        (2, OneLogit(0.2)),
        (5, Cumulative()),
    ]
    for goal in (Untargeted(), Towards((1,)), hide_disease((1,), classes), invent_disease((classes - 1,), classes))
]


@pytest.mark.parametrize("contract", TASK_CONTRACTS)
@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c[0]}-{c[1].name}-{getattr(c[1], 'threshold', '')}-{c[2].describe()}"
)
def test_classification_keeps_contract(case, contract):
    classes, head, goal = case
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(64, head.width(classes), generator=generator, dtype=torch.float64) * 4
    labels = torch.randint(0, classes, (64,), generator=generator)

    def reached(some, targets):
        decision = decided(head, some)
        if isinstance(goal, Untargeted):
            return decision != targets
        return torch.tensor([int(d) in goal.classes for d in decision])

    TASK_CONTRACTS[contract](Classification(classes, goal, head), outputs, labels, reached)


def test_predict_agrees_with_a_decision_written_apart():
    for classes, head in ((5, Softmax()), (2, OneLogit(0.7)), (5, Cumulative())):
        outputs = torch.randn(200, head.width(classes), generator=torch.Generator().manual_seed(1)) * 3
        assert torch.equal(Classification(classes, head=head).predict(outputs), decided(head, outputs))


def test_log_probabilities_sum_to_one():
    for classes, head in ((5, Softmax()), (2, OneLogit(0.7)), (5, Cumulative())):
        outputs = torch.randn(50, head.width(classes), generator=torch.Generator().manual_seed(1)) * 3
        assert torch.allclose(head.log_probabilities(outputs).exp().sum(1), torch.ones(50), atol=1e-5)


def test_eligible_leaves_out_labels_that_fulfil_the_goal_already():
    labels = torch.tensor([0, 1, 2, 3, 4])
    assert Classification(5, hide_disease((2, 3, 4), 5)).eligible(labels).tolist() == [False, False, True, True, True]
    assert Classification(5, invent_disease((2, 3, 4), 5)).eligible(labels).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert Classification(5).eligible(labels).all()
