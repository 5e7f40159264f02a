"""Suppression and matching by hand, images without boxes, bad input, and an attack that leaves nothing detected."""

import pytest
import torch

from palpate.annotations import Boxes, Candidates, Detections
from palpate.attacks import recipes
from palpate.errors import InputError
from palpate.models.detectors import CentreDetector, centre_loss
from palpate.tasks import candidates as readings
from palpate.tasks.boxes import matched, suppressed
from palpate.tasks.criteria import Bipartite
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Degrade, Fabricate, Mislabel, Vanish
from palpate.threats.ball import Linf
from palpate.victim import Victim

GOALS = [Degrade(), Vanish(), Vanish((1,)), Fabricate(2), Mislabel()]


def sequential(boxes, labels, overlap):
    """Greedy suppression as its definition reads."""
    kept = []
    for index, box in enumerate(boxes.tolist()):
        for other in kept:
            low = [max(a, b) for a, b in zip(box[:2], boxes[other, :2].tolist(), strict=True)]
            high = [min(a, b) for a, b in zip(box[2:], boxes[other, 2:].tolist(), strict=True)]
            shared = max(0.0, high[0] - low[0]) * max(0.0, high[1] - low[1])
            sizes = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, boxes[other].tolist())]
            if labels[index] == labels[other] and shared / (sum(sizes) - shared) > overlap:
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.8])
def test_suppression_is_the_sequential_one(overlap):
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(3, 60, 2, generator=generator, dtype=torch.float64) * 0.5
    boxes = torch.cat([corner, corner + 0.2 + 0.2 * torch.rand(3, 60, 2, generator=generator).double()], 2)
    labels = torch.randint(0, 2, (3, 60), generator=generator)
    dropped = suppressed(boxes, labels, overlap)
    for row in range(3):
        assert (~dropped[row]).nonzero().flatten().tolist() == sequential(boxes[row], labels[row], overlap)
    assert dropped.any() and not suppressed(boxes, labels, 1.0).any()


@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.8])
def test_suppression_by_blocks_is_the_sequential_one(overlap, monkeypatch):
    monkeypatch.setattr("palpate.tasks.boxes._BLOCK", 7)
    test_suppression_is_the_sequential_one(overlap)


def test_suppression_ends_after_the_block_with_the_last_box_that_is_asked_for(monkeypatch):
    monkeypatch.setattr("palpate.tasks.boxes._BLOCK", 4)
    left = torch.arange(12).double()[None, :, None]
    apart = torch.cat([left, 0 * left, left + 0.5, 0 * left + 1], 2).repeat(2, 1, 1)
    apart[1, 1:3] = apart[1, 0]
    dropped = suppressed(apart, torch.zeros(2, 12, dtype=torch.int64), 0.5, most=3)
    assert dropped[:, :8].tolist() == [[False] * 8, [False, True, True] + [False] * 5] and dropped[:, 8:].all()


def test_the_same_question_is_asked_once(monkeypatch):
    asked = []
    monkeypatch.setattr("palpate.tasks.candidates._suppressed", readings._Remembered())
    monkeypatch.setattr(readings, "suppressed", lambda *given: asked.append(given) or suppressed(*given))
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 9, 2, generator=generator) / 2
    outputs = Candidates(torch.randn(2, 9, 3, generator=generator), torch.cat([corner, corner + 0.4], 2))
    targets = Boxes(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.int64))
    task = Detection(3)
    first = [task.margin(outputs, targets), task.score(outputs, targets), task.predict(outputs).labels]
    assert len(asked) == 1
    moved = Candidates(outputs.logits, outputs.boxes.flip(1))
    other = task.predict(moved)
    assert len(asked) == 2
    monkeypatch.setattr("palpate.tasks.candidates._suppressed", suppressed)
    again = [task.margin(outputs, targets), task.score(outputs, targets), task.predict(outputs).labels]
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert torch.equal(other.boxes, task.predict(moved).boxes)


def test_a_chain_of_boxes_keeps_every_second_one():
    left = torch.arange(7).double() * 0.04
    boxes = torch.stack([left, torch.zeros(7), left + 0.2, torch.ones(7)], 1)[None]
    assert suppressed(boxes, torch.zeros(1, 7, dtype=torch.int64), 0.5).tolist() == [[False, True] * 3 + [False]]


def test_the_surest_detection_takes_the_box_that_it_overlaps_most():
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.0, 0.1, 0.5, 0.6]]])
    truth = Boxes(boxes, torch.tensor([[0, 0]]))
    found = Detections(
        torch.tensor([[[0.0, 0.1, 0.5, 0.6], [0.0, 0.08, 0.5, 0.58], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]]]),
        torch.tensor([[0, 0, 0, 1]]),
        torch.tensor([[0.9, 0.8, 0.7, 0.6]]),
    )
    # The second one overlaps the taken box more, and takes the free one; nothing is left for the third.
    assert matched(found, truth, 0.5).tolist() == [[1, 0, -1, -1]]


def candidates(count=3, queries=6, width=2):
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(count, queries, 2, generator=generator) * 0.5
    return Candidates(torch.randn(count, queries, width, generator=generator), torch.cat([corner, corner + 0.3], 2))


def targets(labels=((0, 1), (1, -1), (-1, -1))):
    boxes = torch.tensor([[[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]]).repeat(len(labels), 1, 1)
    return Boxes(boxes, torch.tensor(labels))


def nothing(count=3):
    return Boxes(torch.zeros(count, 0, 4), torch.zeros(count, 0, dtype=torch.int64))


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.describe())
@pytest.mark.parametrize("annotated", [nothing(), targets(((-1, -1),) * 3)], ids=["no rows", "padding"])
def test_images_without_boxes_are_defined_and_only_fabrication_applies(goal, annotated):
    task, outputs = Detection(2, goal), candidates()
    logits = outputs.logits.clone().requires_grad_()
    place = Candidates(logits, outputs.boxes)
    task.validate(place, annotated)
    for value in (task.loss(place, annotated), task.margin(place, annotated), task.soft_score(place, annotated)):
        assert value.shape == (3,) and value.isfinite().all()
    pieces = task.pieces(place, annotated)
    assert all(part.isfinite().all() for part in pieces)
    assert task.eligible(annotated).tolist() == [isinstance(goal, Fabricate)] * 3
    assert pieces.weight.any() == isinstance(goal, Fabricate)


def test_score_of_an_image_without_boxes_is_1_only_where_nothing_is_detected():
    outputs = candidates(2)
    outputs = Candidates(torch.stack([torch.full((6, 2), -5.0), torch.full((6, 2), 5.0)]), outputs.boxes)
    assert Detection(2).score(outputs, nothing(2)).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.describe())
def test_the_margin_has_a_gradient_where_the_goal_applies(goal):
    outputs, annotated = candidates(), targets(((0, 1), (1, 0), (1, 1)))
    logits = outputs.logits.clone().requires_grad_()
    margin = Detection(2, goal).margin(Candidates(logits, outputs.boxes), annotated)
    (gradient,) = torch.autograd.grad(margin.sum(), logits)
    assert gradient.isfinite().all() and gradient.flatten(1).any(1).all()


def test_own_detections_are_targets_without_disagreement():
    task, outputs = Detection(2), candidates()
    own = task.own(outputs, nothing())
    assert (own.labels >= 0).any(1).all()
    assert task.score(outputs, own).tolist() == [1.0] * 3
    assert torch.allclose(task.consistency_loss(outputs, outputs, "label"), task.loss(outputs, own))


def test_disagreement_grows_with_distance_and_counts_boxes_as_well_as_classes():
    outputs = candidates()
    for head in ("sigmoid", "softmax"):
        task = Detection(2 - (head == "softmax"), head=head)
        shifted = [Candidates(outputs.logits, outputs.boxes + step) for step in (0.0, 0.05, 0.1)]
        fainter = [Candidates(outputs.logits - step, outputs.boxes) for step in (0.0, 0.5, 1.0)]
        for series in (shifted, fainter if head == "sigmoid" else shifted):
            values = torch.stack([task.consistency_loss(one, outputs, "distribution") for one in series])
            assert torch.allclose(values[0], torch.zeros(3), atol=1e-6)
            assert (values.diff(dim=0) > 0).all()


@pytest.mark.parametrize(
    ("box", "label", "words"),
    [
        ([0.2, 0.2, 1.2, 0.4], 0, "box 1 of row 0 .* is outside the image"),
        ([0.2, 0.2, 0.2, 0.4], 0, "box 1 of row 0 .* has no area"),
        ([0.4, 0.2, 0.2, 0.4], 0, "box 1 of row 0 .* has no area"),
        ([float("nan"), 0.2, 0.3, 0.4], 0, "box 1 of row 0 .* is outside"),
        ([0.2, 0.2, 0.3, 0.4], 2, "box 1 of row 0 .* not one of the task's classes 0 to 1"),
    ],
)
def test_boxes_that_cannot_be_are_named(box, label, words):
    annotated = targets()
    annotated.boxes[0, 1], annotated.labels[0, 1] = torch.tensor(box), label
    with pytest.raises(InputError, match=words):
        Detection(2).validate(candidates(), annotated)


def test_padding_may_hold_anything():
    annotated = targets()
    annotated.boxes[2] = -7.0
    Detection(2).validate(candidates(), annotated)


@pytest.mark.parametrize(
    ("outputs", "annotated", "words"),
    [
        (torch.zeros(3, 2), targets(), "it returned Tensor"),
        (candidates(width=3), targets(), r"sigmoid head with 2 classes needs \[3, Q, 2\]"),
        (candidates(2), targets(), r"for 3 images"),
        (Candidates(torch.full((3, 6, 2), torch.nan), candidates().boxes), targets(), "NaN or infinite for 3 of 3"),
        (candidates(), torch.zeros(3), "they are Tensor"),
        (candidates(), Boxes(targets().boxes, targets().labels.float()), "torch.float32 labels"),
        (candidates(), Boxes(targets().boxes[0], targets().labels), "must be"),
    ],
)
def test_other_outputs_and_targets_are_refused(outputs, annotated, words):
    with pytest.raises(InputError, match=words):
        Detection(2).validate(outputs, annotated)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classes": 0}, "task.classes"),
        ({"confidence": 1.0}, "task.confidence"),
        ({"overlap": 0.0}, "task.overlap"),
        ({"suppression": 1.5}, "task.suppression"),
        ({"floor": 1.0}, "task.floor"),
        ({"head": "linear"}, "task.head"),
        ({"goal": Vanish((2,))}, "goal.classes: 2"),
        ({"goal": Fabricate(1, (0, 5))}, "goal.classes: 5"),
        ({"classes": 1, "goal": Mislabel()}, "at least 2 classes"),
        ({"goal": Vanish(), "criterion": Bipartite()}, "task.criterion"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        Detection(**{"classes": 2, **values})


@pytest.mark.parametrize("count", [0, 101])
def test_fabricate_refuses_impossible_counts(count):
    with pytest.raises(InputError, match=r"goal\.count"):
        Fabricate(count)


def squares(count, generator):
    """Grey noise with bright and dark squares, classes 0 and 1, and some images without any."""
    images = 0.5 + 0.03 * torch.randn(count, 1, 32, 32, generator=generator)
    boxes, labels = torch.zeros(count, 2, 4), torch.full((count, 2), -1)
    for row in range(count):
        for index in range(row % 3):
            x, y = torch.randint(1, 8, (2,), generator=generator).tolist()
            side, kind = 8, int(torch.randint(0, 2, (1,), generator=generator))
            y += 14 * index
            images[row, :, y : y + side, x : x + side] += 0.2 - 0.4 * kind
            boxes[row, index] = torch.tensor([x, y, x + side, y + side]) / 32
            labels[row, index] = kind
    return images.clamp(0, 1), Boxes(boxes, labels)


@pytest.fixture(scope="module")
def trained():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = CentreDetector(2, width=8, channels=1, stride=4)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(detector.parameters(), 1e-2)
    points = detector.points(32, 32)
    for _ in range(120):
        images, annotated = squares(16, generator)
        # Noise as strong as the attack's ball is wide, so that noise alone is nothing new to the detector.
        images += 0.08 * (2 * torch.rand(images.shape, generator=generator) - 1)
        loss = centre_loss(detector(images * 4 - 2), annotated, points)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    victim = Victim(detector.eval(), (0.0, 1.0), preprocess=lambda images: images * 4 - 2)
    return victim, *squares(12, generator)


def detected(task, outputs, annotated):
    return int((matched(task.predict(outputs), annotated, task.overlap) >= 0).sum())


def attacked(trained, goal, make, eps):
    victim, images, annotated = trained
    task = Detection(2, goal)
    result = make(Linf(eps))(victim, task, images, annotated, generator=torch.Generator().manual_seed(1))
    return task, result


def test_gradients_make_every_box_vanish_where_noise_makes_none(trained):
    annotated = trained[2]
    boxes = int((annotated.labels >= 0).sum())
    task, noise = attacked(trained, Vanish(), lambda threat: recipes.noise(threat, tries=20), 0.08)
    before = detected(task, noise.clean_outputs, annotated)
    assert before >= 0.9 * boxes
    assert detected(task, noise.outputs, annotated) >= 0.9 * before
    _, found = attacked(trained, Vanish(), lambda threat: recipes.pgd(threat, steps=20), 0.08)
    assert found.success[found.eligible].all()
    assert detected(task, found.outputs, annotated) == 0
    assert found.eligible.tolist() == (annotated.labels >= 0).any(1).tolist()


@pytest.mark.parametrize("goal", [Degrade(), Fabricate(), Mislabel()], ids=lambda goal: goal.describe())
def test_other_goals_are_reached_more_often_than_by_noise(trained, goal):
    _, noise = attacked(trained, goal, lambda threat: recipes.noise(threat, tries=20), 0.12)
    for make in (recipes.pgd, recipes.apgd_margin, recipes.smia):
        _, found = attacked(trained, goal, lambda threat, make=make: make(threat, steps=30), 0.12)
        assert found.success.sum() > noise.success.sum()
        assert not (found.success & ~found.eligible).any()


def test_detections_of_the_model_itself_can_be_attacked_without_ground_truth(trained):
    victim, images, annotated = trained
    task = Detection(2, Vanish())
    with victim:
        own = task.own(victim.judge(images), annotated)
    result = recipes.pgd(Linf(0.08), steps=20)(victim, task, images, own, generator=torch.Generator().manual_seed(1))
    assert result.success[result.eligible].all() and result.eligible.sum() > 0
