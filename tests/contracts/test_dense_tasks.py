"""Masks and findings, with every head and goal, against the contracts of a task and definitions written apart."""

import pytest
import torch

from palpate.annotations import Masks
from palpate.checks import TASK_CONTRACTS
from palpate.tasks.masks.goals import Degrade, Erase, Insert, Shift, Swap, Toward, Wanted
from palpate.tasks.masks.reading import AimedMasks
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.multilabel_goals import AllFindings, AnyFinding, Invent, Miss
from palpate.tasks.segmentation import Segmentation

GRID = {2: (8, 8), 3: (6, 6, 6)}
VOXEL = (2.0, 5.0, 10.0)
"""0.1 ml."""


def blobs(count, structures, dimensions, exclusive):
    """Labels with one block per structure; the first sample holds none, and a slab of each is ignored."""
    labels = torch.zeros(count, structures, *GRID[dimensions], dtype=torch.int64)
    for structure in range(structures):
        low = 1 + 3 * structure
        labels[1:, structure, low : low + 2, 2:5] = 1
    if exclusive:
        labels = (labels * torch.arange(1, structures + 1).reshape(1, -1, *[1] * dimensions)).amax(1)
    labels[..., 0] = 255
    return labels


def case(goal, structures, exclusive, dimensions, seed, one_logit=False):
    """Some outputs random, some near the truth, some near what the goal wants."""
    generator = torch.Generator().manual_seed(seed)
    labels = blobs(9, structures, dimensions, exclusive)
    spacing = torch.tensor(VOXEL[:dimensions]).expand(9, dimensions)
    targets = Masks(labels, spacing)
    if isinstance(goal, Wanted):
        targets = AimedMasks(labels, labels.flip(-2), spacing)
    task = Segmentation(structures, exclusive, goal, threshold=0.4 if one_logit or not exclusive else 0.5)
    width = structures + (exclusive and not one_logit)
    noise = torch.randn(9, width, *GRID[dimensions], generator=generator, dtype=torch.float64)
    aims = (labels, goal.wanted(task.annotation(targets)))
    for rows, aim in zip((slice(3, 6), slice(6, 9)), aims, strict=True):
        aim = aim.masked_fill(labels == 255, 0)
        if not exclusive:
            hot = aim
        elif one_logit:
            hot = aim.unsqueeze(1)
        else:
            hot = torch.nn.functional.one_hot(aim, width).movedim(-1, 1)
        noise[rows] += (hot[rows] * 2 - 1) * torch.tensor([1.0, 2.0, 9.0]).reshape(3, *[1] * (dimensions + 1))
    return task, noise, targets


def found(task, outputs, structure):
    """What is found of a structure, by thresholds and arguments of the maximum only."""
    if task.exclusive and outputs.shape[1] > 1:
        return outputs.max(1).indices == structure + 1
    return torch.sigmoid(outputs[:, structure]) > task.threshold


def annotated(task, labels, structure):
    return labels == structure + 1 if task.exclusive else labels[:, structure] == 1


def dice(one, other):
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def reached_by(task, goal):
    def one_sample(outputs, labels, spacing, wanted):
        labels, outputs = labels[None], outputs[None]
        parts = range(task.structures)
        ignored = labels == 255 if task.exclusive else None
        finds, trues = [], []
        for part in parts:
            counts = ~(ignored if task.exclusive else labels[:, part] == 255)
            finds.append(found(task, outputs, part) & counts)
            trues.append(annotated(task, labels, part) & counts)
        if isinstance(goal, Degrade):
            scores = [dice(f, t) for f, t in zip(finds, trues, strict=True) if t.any()]
            return sum(scores) / len(scores) <= task.floor if scores else any(bool(f.any()) for f in finds)
        if isinstance(goal, Erase):
            region = trues[goal.structure]
            return int((finds[goal.structure] & region).sum()) <= goal.left * int(region.sum())
        if isinstance(goal, Shift):
            voxel = float(torch.tensor(VOXEL).prod()) / 1000
            moved = (int(finds[goal.structure].sum()) - int(trues[goal.structure].sum())) * voxel
            return moved >= goal.ml - 1e-9 if goal.ml > 0 else moved <= goal.ml + 1e-9
        if isinstance(goal, Insert):
            inside = hit = 0
            for place in torch.cartesian_prod(*[torch.arange(n) for n in labels.shape[-len(goal.centre) :]]):
                off = (place + 0.5 - torch.tensor(goal.centre) * torch.tensor(GRID[len(goal.centre)])) * spacing
                if off.norm() <= goal.radius:
                    inside += 1
                    hit += bool(finds[goal.structure][0][tuple(place)])
            return hit >= goal.filled * inside
        wants = [annotated(task, wanted[None], part) for part in parts]
        changed = [part for part in parts if not torch.equal(wants[part] & finds[part].new_ones(()), trues[part])]
        scores = [dice(finds[part], wants[part]) for part in changed]
        return bool(scores) and sum(scores) / len(scores) >= goal.reached

    def reached(outputs, targets):
        wanted = moved(goal, task, targets)
        return torch.tensor(
            [one_sample(*sample) for sample in zip(outputs, targets.labels, targets.spacing, wanted, strict=True)]
        )

    return reached


def moved(goal, task, targets):
    """The wanted labels of the goals that want a whole mask, by index arithmetic."""
    labels = targets.labels
    if isinstance(goal, Wanted):
        return targets.wanted.masked_fill(labels == 255, 255)
    result = labels.clone()
    if isinstance(goal, Swap):
        if task.exclusive:
            result[labels == goal.first + 1], result[labels == goal.second + 1] = goal.second + 1, goal.first + 1
        else:
            result[:, goal.first], result[:, goal.second] = labels[:, goal.second], labels[:, goal.first]
    if isinstance(goal, Toward):
        result = torch.zeros_like(labels)
        axes = labels.shape[-len(goal.step) :]
        for place in torch.cartesian_prod(*[torch.arange(n) for n in axes]).tolist():
            source = [p - s for p, s in zip(place, goal.step, strict=True)]
            if all(0 <= p < n for p, n in zip(source, axes, strict=True)):
                value = labels[(..., *source)]
                result[(..., *place)] = torch.where(value == 255, 0, value)
        result[labels == 255] = 255
    return result


FLAT = [Degrade(), Erase(0), Erase(1, 0.2, into=0), Insert(0, (0.5, 0.75), 8), Swap(0, 1), Toward((1, 1)), Wanted()]
SOLID = [Degrade(), Erase(0), Shift(1, 0.6), Shift(1, -0.5), Insert(1, (0.3, 0.5833, 0.5833), 3.0), Toward((1, 0, 1))]
MASKS = [
    *((goal, 2, exclusive, 2, False) for goal in FLAT for exclusive in (True, False)),
    *((goal, 2, exclusive, 3, False) for goal in SOLID for exclusive in (True, False)),
    *((goal, 1, True, 2, one) for goal in (Degrade(), Erase(0), Toward((0, 1))) for one in (True, False)),
]


@pytest.mark.parametrize("contract", TASK_CONTRACTS)
@pytest.mark.parametrize("made", MASKS, ids=lambda m: f"{m[0].describe()}-{m[1]}-{'sm'[m[2]]}{m[3]}d{m[4]:d}")
def test_segmentation_keeps_contract(made, contract):
    goal, structures, exclusive, dimensions, one_logit = made
    task, outputs, targets = case(goal, structures, exclusive, dimensions, 0, one_logit)
    TASK_CONTRACTS[contract](task, outputs, targets, reached_by(task, goal))


@pytest.mark.parametrize("made", MASKS, ids=lambda m: f"{m[0].describe()}-{m[1]}-{'sm'[m[2]]}{m[3]}d{m[4]:d}")
def test_cases_hold_both_outcomes(made):
    """The contracts above look at images that reached the goal and at images that did not, eligible ones."""
    goal, structures, exclusive, dimensions, one_logit = made
    task, outputs, targets = case(goal, structures, exclusive, dimensions, 0, one_logit)
    task.validate(outputs, targets)
    eligible = task.eligible(targets)
    reached = task.margin(outputs, targets) <= 0
    assert (eligible & ~reached).any() and (eligible & reached).any()
    if goal.targeted:
        assert task.pieces(outputs, targets).margin[8].le(0).all() and reached[8] == eligible[8]


def climbed(task, outputs, targets):
    """Logits after free ascent of the loss, a unit per step and logit."""
    place = outputs.clone()
    for _ in range(40):
        place.requires_grad_()
        (gradient,) = torch.autograd.grad(task.loss(place, targets).sum(), place)
        place = (place + gradient.sign()).detach()
    return place


@pytest.mark.parametrize("made", MASKS, ids=lambda m: f"{m[0].describe()}-{m[1]}-{'sm'[m[2]]}{m[3]}d{m[4]:d}")
def test_free_ascent_of_the_loss_on_masks_reaches_the_goal(made):
    goal, structures, exclusive, dimensions, one_logit = made
    task, outputs, targets = case(goal, structures, exclusive, dimensions, 0, one_logit)
    assert (task.margin(climbed(task, outputs, targets), targets) <= 0)[task.eligible(targets)].all()


FINDINGS = [AnyFinding(), AllFindings(), Miss((0, 2)), Invent((1, 3)), Miss((1,))]


@pytest.mark.parametrize("contract", TASK_CONTRACTS)
@pytest.mark.parametrize("thresholds", [(0.5,), (0.3,), (0.2, 0.5, 0.7, 0.4)], ids=str)
@pytest.mark.parametrize("goal", FINDINGS, ids=lambda g: g.describe())
def test_multilabel_keeps_contract(goal, thresholds, contract):
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(64, 4, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(-1, 2, (64, 4), generator=generator)
    labels[0] = -1

    def reached(some, targets):
        verdicts = []
        for row, truth in zip(some.sigmoid().tolist(), targets.tolist(), strict=True):
            limits = thresholds * 4 if len(thresholds) == 1 else thresholds
            read = [int(p > t) for p, t in zip(row, limits, strict=False)]
            known = [k for k in range(4) if truth[k] >= 0]
            if isinstance(goal, Miss):
                known = [k for k in goal.findings if truth[k] == 1]
            if isinstance(goal, Invent):
                known = [k for k in goal.findings if truth[k] == 0]
            wrong = [read[k] != truth[k] for k in known]
            verdicts.append(bool(wrong) and (any(wrong) if isinstance(goal, AnyFinding) else all(wrong)))
        return torch.tensor(verdicts)

    TASK_CONTRACTS[contract](MultiLabel(4, goal, thresholds), outputs, labels, reached)


@pytest.mark.parametrize("goal", FINDINGS, ids=lambda g: g.describe())
def test_free_ascent_of_the_loss_on_findings_reaches_the_goal(goal):
    generator = torch.Generator().manual_seed(3)
    outputs = torch.randn(64, 4, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(-1, 2, (64, 4), generator=generator)
    task = MultiLabel(4, goal, (0.2, 0.5, 0.7, 0.4))
    eligible = task.eligible(labels)
    assert eligible.any() and (task.margin(climbed(task, outputs, labels), labels) <= 0)[eligible].all()
