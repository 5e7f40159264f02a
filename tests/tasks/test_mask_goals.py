"""What each goal wants of a mask, where it applies, and when it is reached; worked by hand."""

import gc

import pytest
import scipy.ndimage
import torch
from scipy import ndimage

from palpate.annotations import Masks
from palpate.errors import InputError
from palpate.tasks.masks import remembered
from palpate.tasks.masks.goals import Degrade, Erase, Insert, Shift, Swap, Toward, Wanted
from palpate.tasks.masks.reading import AimedMasks
from palpate.tasks.segmentation import Segmentation

ROW = torch.tensor([[[1, 1, 1, 1, 0, 0, 2, 2]]])


def logits_of(labels, classes=3):
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).double() * 5


def wants(goal, labels=ROW, spacing=None, **options):
    task = Segmentation(2, goal=goal, **options)
    return goal.wanted(task.annotation(Masks(labels, spacing)))


def ball(radius, size=21):
    grid = torch.stack(torch.meshgrid(*[torch.arange(size) - size // 2] * 3, indexing="ij")).float()
    return (grid.square().sum(0) <= radius**2).long()[None]


def test_erase_leaves_background_or_the_organ_around():
    assert wants(Erase(0)).tolist() == [[[0, 0, 0, 0, 0, 0, 2, 2]]]
    assert wants(Erase(1, into=0)).tolist() == [[[1, 1, 1, 1, 0, 0, 1, 1]]]
    stack = torch.tensor([[[[1, 1, 0]], [[0, 1, 0]]]])
    assert wants(Erase(1, into=0), stack, exclusive=False).tolist() == [[[[1, 1, 0]], [[0, 0, 0]]]]


def test_erase_is_reached_when_the_stated_share_is_left():
    found = torch.tensor([[[1, 0, 0, 0, 1, 1, 1, 1]]])
    for left, reached in ((0.25, True), (0.24, False)):
        task = Segmentation(2, goal=Erase(0, left))
        assert (task.margin(logits_of(found), ROW).item() <= 0) is reached
    assert Segmentation(2, goal=Erase(0)).eligible(torch.cat([ROW, ROW * 0])).tolist() == [True, False]
    assert Segmentation(2, goal=Erase(0)).score(logits_of(ROW), ROW).item() == 1


def test_insert_is_a_ball_in_mm():
    labels = torch.zeros(2, 10, 10, dtype=torch.int64)
    spacing = torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    goal = Insert(1, (0.55, 0.45), 2.0)
    wanted = wants(goal, labels, spacing)
    assert wanted.unique().tolist() == [0, 2]
    assert (wanted[0] == 2).sum() == 13 and (wanted[0, 3:8, 4] == 2).all() and (wanted[0, 5, 2:7] == 2).all()
    assert (wanted[1] == 2).sum() == 5 + 2 and (wanted[1, 5, 3:6] == 2).all()


def test_insert_applies_inside_the_image_where_it_is_free():
    labels = torch.zeros(3, 10, 10, dtype=torch.int64)
    labels[1, 5, 5], labels[2, 5, 5] = 2, 255
    assert Segmentation(2, goal=Insert(1, (0.5, 0.5), 3)).eligible(labels).tolist() == [True, False, False]
    assert Segmentation(2, goal=Insert(0, (0.5, 0.5), 3)).eligible(labels).tolist() == [True, True, False]
    assert not Segmentation(2, goal=Insert(0, (0.1, 0.5), 3)).eligible(labels).any()
    assert not Segmentation(2, goal=Insert(0, (0.5, 0.5), 0.1)).eligible(labels).any()


def test_insert_is_reached_at_half_the_ball():
    labels = torch.zeros(1, 10, 10, dtype=torch.int64)
    goal = Insert(0, (0.5, 0.5), 2.0)
    task = Segmentation(2, goal=goal)
    places = (wants(goal, labels)[0] == 1).nonzero()
    assert len(places) == 12
    for count, reached in ((5, False), (6, True)):
        found = labels.clone()
        found[0, places[:count, 0], places[:count, 1]] = 1
        assert (task.margin(logits_of(found), labels).item() <= 0) is reached


@pytest.mark.parametrize("ml", [0.3, -0.3])
def test_shift_wants_the_nearest_voxels_and_no_more(ml):
    labels, spacing = ball(5), torch.tensor([[1.0, 2.0, 1.5]])
    wanted = wants(Shift(0, ml), labels, spacing)
    true, after = (labels[0] == 1).numpy(), (wanted[0] == 1).numpy()
    assert after.sum() - true.sum() == (100 if ml > 0 else -100)
    changed = after != true
    assert (after >= true).all() if ml > 0 else (after <= true).all()
    depth = ndimage.distance_transform_edt(~true if ml > 0 else true, sampling=spacing[0].tolist())
    kept = (~true if ml > 0 else true) & ~changed
    assert depth[changed].max() <= depth[kept].min()


def test_shift_is_measured_from_the_true_volume():
    labels, spacing = ball(5), torch.tensor([[1.0, 2.0, 1.5]])
    task = Segmentation(2, goal=Shift(0, -0.3))
    wanted = wants(Shift(0, -0.3), labels, spacing)
    targets = Masks(labels, spacing)
    assert task.margin(logits_of(wanted), targets).item() == 0
    one_more = wanted.clone()
    one_more[tuple((labels - wanted).nonzero()[0])] = 1
    assert task.margin(logits_of(one_more), targets).item() == pytest.approx(1 / 100)
    assert task.margin(logits_of(labels), targets).item() == 1


def test_shift_applies_where_there_is_volume_and_room():
    labels, spacing = torch.cat([ball(5), ball(5) * 0]), torch.ones(2, 3)
    volume = int(ball(5).sum()) / 1000
    targets = Masks(labels, spacing)
    assert Segmentation(2, goal=Shift(0, -volume)).eligible(targets).tolist() == [True, False]
    assert Segmentation(2, goal=Shift(0, -volume - 0.001)).eligible(targets).tolist() == [False, False]
    assert Segmentation(2, goal=Shift(0, 21**3 / 1000)).eligible(targets).tolist() == [False, False]


def test_shift_is_computed_once_and_follows_the_rows(monkeypatch):
    calls = []
    real = scipy.ndimage.distance_transform_edt
    monkeypatch.setattr(scipy.ndimage, "distance_transform_edt", lambda *a, **k: calls.append(1) or real(*a, **k))
    targets = Masks(torch.cat([ball(5), ball(3)]), torch.ones(2, 3))
    task = Segmentation(2, goal=Shift(0, 0.05))
    outputs = logits_of(targets.labels)
    first = task.loss(outputs, targets)
    assert len(calls) == 2
    rows = torch.tensor([1])
    assert torch.equal(task.loss(outputs[rows], task.take(targets, rows)), first[rows])
    assert torch.equal(task.loss(outputs, targets), first) and len(calls) == 2
    before = len(remembered._REMEMBERED)
    del targets
    gc.collect()
    assert len(remembered._REMEMBERED) < before


def test_toward_translates_and_keeps_what_is_ignored():
    labels = ROW.clone()
    labels[0, 0, 5] = 255
    assert wants(Toward((0, 2)), labels).tolist() == [[[0, 0, 1, 1, 1, 255, 0, 0]]]
    assert wants(Toward((0, -6)), labels).tolist() == [[[2, 2, 0, 0, 0, 255, 0, 0]]]
    assert wants(Toward((1, 0)), labels).tolist() == [[[0, 0, 0, 0, 0, 255, 0, 0]]]


def test_swap_exchanges_labels():
    assert wants(Swap(0, 1)).tolist() == [[[2, 2, 2, 2, 0, 0, 1, 1]]]
    stack = torch.tensor([[[[1, 1, 0, 255]], [[0, 1, 0, 0]]]])
    swapped = wants(Swap(0, 1), stack, exclusive=False)
    assert swapped.tolist() == [[[[0, 1, 0, 255]], [[1, 1, 0, 0]]]]


def test_alike_counts_only_the_structures_that_change():
    task = Segmentation(3, goal=Swap(0, 1))
    labels = torch.tensor([[[1, 1, 2, 2, 3, 3]]])
    assert task.margin(logits_of(labels, 4), labels).item() == 0.75
    swapped = torch.tensor([[[2, 2, 1, 1, 3, 3]]])
    assert task.margin(logits_of(swapped, 4), labels).item() == -0.25
    assert task.eligible(torch.tensor([[[0, 0, 0, 0, 3, 3]], [[1, 1, 0, 0, 0, 3]]])).tolist() == [False, True]


def test_any_wanted_masks_come_with_the_targets_and_follow_the_rows():
    labels = torch.cat([ROW, ROW])
    aimed = AimedMasks(labels, torch.cat([ROW, ROW.flip(-1)]), None)
    task = Segmentation(2, goal=Wanted())
    task.validate(logits_of(labels), aimed)
    assert task.eligible(aimed).tolist() == [False, True]
    some = task.take(aimed, torch.tensor([1]))
    assert isinstance(some, AimedMasks) and torch.equal(some.wanted, ROW.flip(-1))
    assert task.margin(logits_of(some.wanted), some).item() == -0.25
    assert isinstance(task.own(logits_of(labels), aimed), AimedMasks)


def test_soft_score_falls_along_the_way_to_every_goal():
    spacing = torch.ones(1, 3)
    labels = ball(4, 11)
    labels[0, 0, 0] = 2
    for goal in (Degrade(), Erase(0), Insert(1, (0.5, 0.5, 0.5), 3), Shift(0, 0.05), Swap(0, 1), Toward((3, 0, 0))):
        task, targets = Segmentation(2, goal=goal), Masks(labels, spacing)
        place = logits_of(labels).requires_grad_()
        (gradient,) = torch.autograd.grad(task.loss(place, targets).sum(), place)
        moved = place + 0.1 * gradient / gradient.abs().max()
        assert task.soft_score(moved, targets) < task.soft_score(place, targets), goal.describe()


def test_pieces_stand_by_their_cosine_with_what_is_wanted():
    labels = torch.tensor([[[1, 0]]])
    outputs = torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]]).log().T.reshape(1, 3, 1, 2)
    norms = [(0.2**2 + 0.7**2 + 0.1**2) ** 0.5, (0.5**2 + 0.3**2 + 0.2**2) ** 0.5]
    away = Segmentation(2).pieces(outputs, labels)
    assert away.unbroken[0].tolist() == pytest.approx([0.7 / norms[0], 0.5 / norms[1]])
    assert away.loss[0].exp().tolist() == pytest.approx([1 / 0.7, 1 / 0.5])
    toward = Segmentation(2, goal=Erase(0)).pieces(outputs, labels)
    assert toward.unbroken[0].tolist() == pytest.approx([1 - 0.2 / norms[0], 1 - 0.5 / norms[1]])
    assert toward.loss[0].exp().tolist() == pytest.approx([0.2, 0.5])
    assert (toward.margin[0] > 0).tolist() == [True, False] and (away.margin[0] > 0).all()


@pytest.mark.parametrize(
    ("goal", "targets", "words"),
    [
        (Shift(0, 1.0), Masks(ball(3), None), "spacing"),
        (Shift(0, 1.0), Masks(ROW, torch.ones(1, 2)), "2D"),
        (Insert(0, (0.5, 0.5, 0.5), 3), Masks(ROW), "goal.centre"),
        (Toward((1, 1, 1)), Masks(ROW), "goal.step"),
        (Swap(0, 2), Masks(ROW), "structure 2"),
        (Erase(0, into=3), Masks(ROW), "structure 3"),
        (Wanted(), Masks(ROW), "AimedMasks"),
        (Wanted(), AimedMasks(ROW, ROW[..., :4]), "must be the same"),
        (Wanted(), AimedMasks(ROW, ROW + 2), "wanted masks: row 0 has the value 3"),
    ],
)
def test_what_cannot_be_asked_is_said(goal, targets, words):
    with pytest.raises(InputError, match=words):
        Segmentation(2, goal=goal).validate(logits_of(targets.labels), targets)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Erase(0, left=1.0), "goal.left"),
        (lambda: Erase(0, into=0), "goal.into"),
        (lambda: Insert(0, (0.5, 1.5), 3), "goal.centre"),
        (lambda: Insert(0, (0.5, 0.5), 0), "goal.radius"),
        (lambda: Insert(0, (0.5, 0.5), 1, filled=0), "goal.filled"),
        (lambda: Shift(0, 0), "goal.ml"),
        (lambda: Toward((0, 0)), "goal.step"),
        (lambda: Toward((0, 1), reached=2), "goal.reached"),
        (lambda: Swap(1, 1), "itself"),
        (lambda: Wanted(0), "goal.reached"),
    ],
)
def test_what_is_no_goal_is_said(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_words():
    goals = (Degrade(), Erase(0, name="lesion"), Insert(1, (0.5, 0.5), 3), Shift(0, -2), Toward((0, 3)), Swap(0, 1))
    assert [goal.describe() for goal in goals] == [
        "untargeted",
        "erase lesion",
        "insert structure 1",
        "shift structure 0 by -2 ml",
        "move by 0 3 px",
        "swap structure 0 and structure 1",
    ]
