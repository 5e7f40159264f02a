"""Bounds over decisions that are not known: against every possible decision, one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from palpate.annotations import Candidates, Masks
from palpate.certificates.decisions import Decisions, part_names, voted
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.heads import Cumulative, OneLogit
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation


def outputs_of(decisions, made):
    """Raw outputs (N, ...) whose decisions are these (N, positions)."""
    task, shape = decisions.task, decisions.task.annotation(decisions.targets).labels.shape[1:]
    labels = torch.from_numpy(made).reshape(-1, *shape)
    if task.exclusive:
        return torch.nn.functional.one_hot(labels, decisions.kinds).movedim(-1, 1).float() * 8
    return labels.float() * 8 - 4


TASKS = {
    "structures": (Segmentation(2), torch.tensor([[[0, 1, 1], [2, 0, 255]]])),
    "iou of one": (Segmentation(2, metric="iou", structure=0), torch.tensor([[[0, 1, 1], [2, 0, 1]]])),
    "nothing": (Segmentation(1), torch.zeros(1, 2, 3, dtype=torch.int64)),
    "overlapping": (Segmentation(2, exclusive=False), torch.tensor([[[[1, 1, 0]], [[0, 1, 255]]]])),
}


@pytest.mark.parametrize("name", TASKS)
def test_masks_are_bounded_by_the_worst_and_the_best_of_all_decisions(name):
    task, targets = TASKS[name]
    decisions, rng = Decisions(task, targets), np.random.default_rng(3)
    for _ in range(8):
        decided = rng.integers(0, decisions.kinds, decisions.positions)
        known = rng.random(decisions.positions) < 0.5
        every = np.array([*product(range(decisions.kinds), repeat=int((~known).sum()))], dtype=np.int64)
        made = np.repeat(decided[None], len(every), 0)
        made[:, ~known] = every
        outputs, alike = outputs_of(decisions, made), targets.expand(len(made), *targets.shape[1:])
        scores, rights = task.score(outputs, alike).numpy(), task.right(outputs, alike).numpy()
        least, most = decisions.least(decided, known), decisions.most(decided, known)
        assert most.score == pytest.approx(scores.max(), abs=1e-6, nan_ok=True)
        assert most.acceptable == rights.any() and least.acceptable <= rights.all()
        if task.structures == 1 or task.structure is not None:
            assert least.score == pytest.approx(scores.min(), abs=1e-6, nan_ok=True)
            assert least.acceptable == rights.all()
        else:  # each structure has its own worst case, so the mean is at most the worst mean
            assert least.score <= scores.min() + 1e-6
        found, true = (stack.flatten(2).numpy() for stack in task.stacks(outputs, alike))
        both, either, total = (found & true).sum(2), (found | true).sum(2), found.sum(2) + true.sum(2)
        for part in np.flatnonzero(true[0].any(1)):
            for place, values in ((1, 2 * both / total), (2, both / either)):
                assert least.parts[2 * part + place] == pytest.approx(values[:, part].min())
                assert most.parts[2 * part + place] == pytest.approx(values[:, part].max())


def test_pixels_that_are_not_certified_count_as_wrong():
    targets = torch.tensor([[[0, 1, 1, 255]]])
    decisions = Decisions(Segmentation(1), targets)
    decided, known = np.array([0, 1, 0, 1]), np.array([False, True, True, False])
    assert decisions.least(decided, known).parts[0] == pytest.approx(1 / 3)
    assert decisions.most(decided, known).parts[0] == pytest.approx(2 / 3)
    assert decisions.counted.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("task", "outputs", "votes"),
    [
        (Classification(3), [[0.0, 2, 1], [3, 2, 1], [0, 2, 1]], [1, 2, 0]),
        (Classification(2, head=OneLogit(0.9)), [[3.0], [2.0], [-1.0]], [2, 1]),
        (Classification(3, head=Cumulative()), [[1.0, -1], [1, 1], [-1, 1]], [1, 1, 1]),
        (Classification(2), [[float("nan"), 1], [0, 1], [1, 0]], [1, 1]),
    ],
)
def test_votes_are_the_task_s_own_decisions(task, outputs, votes):
    decisions = Decisions(task, torch.tensor([0]))
    assert decisions.votes(torch.tensor(outputs))[:, 0].tolist() == votes


def test_findings_are_votes_of_their_own():
    decisions = Decisions(MultiLabel(3, thresholds=(0.5, 0.9, 0.5)), torch.tensor([[1, 0, -1]]))
    votes = decisions.votes(torch.tensor([[1.0, 1.0, 1.0], [-1.0, 3.0, 1.0]]))
    assert votes.tolist() == [[1, 1, 0], [1, 1, 2]]
    known = np.array([True, False, False])
    least, most = decisions.least(np.array([1, 0, 0]), known), decisions.most(np.array([1, 1, 0]), known)
    assert (least.score, least.acceptable, least.parts[:2]) == (0.5, False, (1.0, 0.0)) and np.isnan(least.parts[2])
    assert (most.score, most.acceptable, most.parts[:2]) == (1.0, True, (1.0, 1.0))
    wrong = decisions.most(np.array([0, 1, 0]), known)
    assert (wrong.score, wrong.acceptable) == (0.5, False)


def test_a_mask_on_a_coarser_grid_is_read_as_the_task_reads_it():
    targets = Masks(torch.zeros(1, 4, 4, dtype=torch.int64), None)
    decisions = Decisions(Segmentation(1, resample=True), targets)
    assert decisions.votes(torch.ones(5, 1, 2, 2)).tolist() == [[0] * 16, [5] * 16]


def test_parts_have_names():
    assert part_names(Classification(2), ("a", "b")) == ()
    assert part_names(MultiLabel(2), ("a", "b")) == (("right", "a"), ("right", "b"))
    names = part_names(Segmentation(2), ("a", "b"))
    assert names[:3] == (("pixel accuracy", ""), ("dice", "a"), ("iou", "a")) and len(names) == 5


def test_boxes_are_refused():
    with pytest.raises(InputError, match="boxes cannot be certified"):
        voted(Detection(1))
    with pytest.raises(InputError, match="boxes cannot be certified"):
        Decisions(Detection(1), Candidates(torch.zeros(1, 1, 1), torch.zeros(1, 1, 4)))
