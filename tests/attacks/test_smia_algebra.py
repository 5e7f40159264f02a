"""SMIA's gradient on the logits: it is that of cross-entropy at a mixture of two predictions.

    grad_z J = (1 - alpha) p + alpha q - y

with p the prediction at x_t, y the label, and q what the smoothed image is taken for: its decision (`label`) or its
probabilities (`distribution`), detached. Everything in docs/explanation/smia.md follows from this line.
"""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from palpate.attacks.objectives import Deviation, Margin, Stabilised
from palpate.contracts import ObjectiveInputs
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.heads import OneLogit, Softmax
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation

EXACT = {"rtol": 1e-9, "atol": 1e-12}
fast = settings(max_examples=60, deadline=None)
weights = st.floats(0, 0.99)
agreements = st.sampled_from(["label", "distribution"])


def beyond_guard(weight, agreement="label"):
    """An objective at a weight that its guard refuses."""
    objective = Stabilised(0.5, agreement=agreement)
    object.__setattr__(objective, "weight", weight)
    return objective


def pull(objective, task, logits, targets, smoothed):
    """Gradient of J on the logits of x_t, where the smoothed image has the logits `smoothed`."""
    logits = logits.clone().requires_grad_()
    image = torch.zeros(len(logits), 1, 1, 1)
    inputs = ObjectiveInputs(
        image, image, image, logits, logits, targets, task, 0.0, forward=None, forward_no_grad=lambda _: smoothed
    )
    (gradient,) = torch.autograd.grad(objective.value(inputs).sum(), logits)
    return gradient


def one_hot(labels, classes):
    return F.one_hot(labels, classes).double()


@st.composite
def cases(draw, least=2, most=6):
    """Logits at x_t, labels, and logits at the smoothed image, of one number of classes."""
    classes, seed = draw(st.integers(least, most)), draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    scale = draw(st.floats(0.1, 8))
    drawn = torch.randn(2, 6, classes, generator=generator, dtype=torch.float64) * scale
    return drawn[0], torch.randint(classes, (6,), generator=generator), drawn[1]


def taken_for(smoothed, agreement):
    return one_hot(smoothed.argmax(1), smoothed.shape[1]) if agreement == "label" else smoothed.softmax(1)


@given(cases(), weights, agreements)
@fast
def test_it_is_the_residual_of_a_mixture(case, weight, agreement):
    logits, labels, smoothed = case
    classes = logits.shape[1]
    ours = pull(Stabilised(weight, agreement=agreement), Classification(classes), logits, labels, smoothed)
    mixture = (1 - weight) * logits.softmax(1) + weight * taken_for(smoothed, agreement)
    torch.testing.assert_close(ours, mixture - one_hot(labels, classes), **EXACT)


@given(cases(), weights)
@fast
def test_a_smoothed_decision_that_is_right_leaves_cross_entropy_times_one_minus_alpha(case, weight):
    logits, _, smoothed = case
    task, labels = Classification(logits.shape[1]), smoothed.argmax(1)
    bim = pull(Deviation(), task, logits, labels, smoothed)
    torch.testing.assert_close(pull(Stabilised(weight), task, logits, labels, smoothed), (1 - weight) * bim, **EXACT)


@pytest.mark.parametrize(("weight", "sign"), [(1.0, 0.0), (1.25, -1.0), (3.0, -1.0)])
def test_at_weight_one_it_vanishes_and_beyond_it_reverses_hence_the_guard(weight, sign):
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    task, labels = Classification(4), logits.argmax(1)
    bim = pull(Deviation(), task, logits, labels, logits)
    ours = pull(beyond_guard(weight), task, logits, labels, logits)
    torch.testing.assert_close(ours, (1 - weight) * bim, **EXACT)
    assert (torch.sign((ours * bim).sum(1)).where(ours.abs().amax(1) > 1e-12, 0.0) == sign).all()
    with pytest.raises(InputError, match="at 1 the gradient vanishes, above 1 it reverses"):
        Stabilised(weight)


@given(cases(least=3), weights)
@fast
def test_a_flipped_smoothed_decision_pulls_from_the_truth_to_it(case, weight):
    logits, labels, smoothed = case
    classes = logits.shape[1]
    flipped = smoothed.scatter(1, labels[:, None], -100.0)
    spot = flipped.argmax(1)
    ours = pull(Stabilised(weight), Classification(classes), logits, labels, flipped)
    by_hand = logits.clone().requires_grad_()
    apart = F.cross_entropy(by_hand, labels, reduction="none") - weight * F.cross_entropy(
        by_hand, spot, reduction="none"
    )
    torch.testing.assert_close(ours, torch.autograd.grad(apart.sum(), by_hand)[0], **EXACT)
    # No other class is pulled up: they fall only, by what they hold of p.
    others = 1 - one_hot(labels, classes) - one_hot(spot, classes)
    torch.testing.assert_close(ours * others, (1 - weight) * logits.softmax(1) * others, **EXACT)


def test_as_alpha_nears_one_it_nears_the_margin_toward_the_spot_at_a_steady_rate():
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) * 3
    task, labels = Classification(3), logits.argmin(1)
    spot = logits.argmax(1)
    limit = one_hot(spot, 3) - one_hot(labels, 3)
    alphas = [0.0, 0.3, 0.6, 0.9, 0.99, 0.9999]
    away = [(pull(Stabilised(alpha), task, logits, labels, one_hot(spot, 3)) - limit).norm(dim=1) for alpha in alphas]
    for alpha, distance in zip(alphas, away, strict=True):
        torch.testing.assert_close(distance, (1 - alpha) * away[0], rtol=1e-6, atol=1e-12)
    assert all((nearer < farther).all() for farther, nearer in pairwise(away))
    # z_c - z_y is minus the margin where the spot is the strongest of the wrong classes.
    torch.testing.assert_close(pull(Margin(), task, logits, labels, logits), limit, **EXACT)


def test_where_cross_entropy_saturates_only_a_flipped_smoothed_decision_still_pulls():
    logits = torch.tensor([[200.0, 0.0, 0.0]])
    labels, task = torch.tensor([0]), Classification(3)
    assert not pull(Deviation(), task, logits, labels, logits).any(), "float32 holds no gradient here"
    for alpha in (0.1, 0.5, 0.9, 0.999):
        right = pull(Stabilised(alpha), task, logits, labels, logits)
        flipped = pull(Stabilised(alpha), task, logits, labels, torch.tensor([[0.0, 1.0, 0.0]]))
        assert not right.any()
        torch.testing.assert_close(flipped, alpha * torch.tensor([[-1.0, 1.0, 0.0]]))


def two_classes(case, head):
    """Logits for the head, the task, and (B,): how sure x_t and the smoothed image are of the wrong class."""
    logits, labels, smoothed = case
    task = Classification(2, head=head)
    if isinstance(head, OneLogit):
        logits, smoothed = logits[:, 1:] - logits[:, :1], smoothed[:, 1:] - smoothed[:, :1]
    wrong = [task.probabilities(outputs).gather(1, 1 - labels[:, None]).squeeze(1) for outputs in (logits, smoothed)]
    decided = (task.predict(smoothed) != labels).double()
    return task, logits, labels, smoothed, wrong[0], {"label": decided, "distribution": wrong[1]}


@given(cases(least=2, most=2), st.floats(0, 0.99), agreements, st.sampled_from([Softmax(), OneLogit(), OneLogit(0.2)]))
@fast
def test_with_two_classes_every_detached_variant_is_bim_up_to_length(case, weight, agreement, head):
    """Both predictions lie on one line, so that the mixture's residual does: (1 - alpha) p_wrong + alpha q_wrong."""
    task, logits, labels, smoothed, p, q = two_classes(case, head)
    bim = pull(Deviation(), task, logits, labels, smoothed)
    ours = pull(Stabilised(weight, agreement=agreement), task, logits, labels, smoothed)
    mixed = (1 - weight) * p + weight * q[agreement]
    assert (mixed > 0).all()
    # Both sides times p: where p is next to nothing, p - y holds none of its digits, and the factor would blow that up.
    torch.testing.assert_close(p[:, None] * ours, mixed[:, None] * bim, **EXACT)


@pytest.mark.parametrize("head", [Softmax(), OneLogit()])
@pytest.mark.parametrize("agreement", ["label", "distribution"])
def test_with_two_classes_it_reverses_beyond_one_where_the_smoothed_image_is_surer_of_the_truth(head, agreement):
    """The factor p - alpha (p - q) is below 0 just where alpha (p - q) > p, which needs alpha > 1."""
    generator = torch.Generator().manual_seed(5)
    drawn = torch.randn(2, 40, 2, generator=generator, dtype=torch.float64)
    case = (drawn[0], torch.randint(2, (40,), generator=generator), drawn[1])
    task, logits, labels, smoothed, p, q = two_classes(case, head)
    bim = pull(Deviation(), task, logits, labels, smoothed)
    ours = pull(beyond_guard(2.0, agreement), task, logits, labels, smoothed)
    reversed_ = (ours * bim).sum(1) < 0
    assert torch.equal(reversed_, 2.0 * (p - q[agreement]) > p)
    assert reversed_.any() and not reversed_.all()


@given(cases(least=3), weights, agreements)
@fast
def test_of_many_classes_it_is_bim_where_only_two_share_the_probability(case, weight, agreement):
    """A network that wavers between two grades: both predictions lie on one line, as with two classes."""
    logits, labels, smoothed = case
    rows, other = torch.arange(len(labels)), (labels + 1) % logits.shape[1]
    shared = torch.full_like(logits, -200.0)
    shared[rows, labels], shared[rows, other] = logits[rows, labels], logits[rows, other]
    taken = smoothed.masked_fill(shared == -200, -200.0)
    task = Classification(logits.shape[1])
    bim = pull(Deviation(), task, shared, labels, taken)
    ours = pull(Stabilised(weight, agreement=agreement), task, shared, labels, taken)
    p, q = shared.softmax(1)[rows, other], taken_for(taken, agreement)[rows, other]
    mixed = (1 - weight) * p + weight * q
    torch.testing.assert_close(p[:, None] * ours, mixed[:, None] * bim, **EXACT)


def test_three_classes_are_enough_to_part_it_from_bim():
    logits = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    labels, task = torch.tensor([0]), Classification(3)
    smoothed = torch.tensor([[0.0, 2.0, 0.0]], dtype=torch.float64)
    bim = pull(Deviation(), task, logits, labels, smoothed)
    for agreement in ("label", "distribution"):
        ours = pull(Stabilised(0.5, agreement=agreement), task, logits, labels, smoothed)
        assert F.cosine_similarity(ours, bim).item() < 0.99


@given(cases(), st.floats(0, 5))
@fast
def test_a_distribution_that_agrees_adds_nothing_at_any_weight(case, weight):
    """KL(q || p) has no gradient at q = p; a decision that agrees does take away, and hence needs its guard."""
    logits, labels, _ = case
    task = Classification(logits.shape[1])
    bim = pull(Deviation(), task, logits, labels, logits)
    ours = pull(Stabilised(weight, agreement="distribution"), task, logits, labels, logits)
    torch.testing.assert_close(ours, bim, rtol=1e-9, atol=1e-12)


@given(cases(), st.floats(0.1, 5))
@fast
def test_through_adds_a_pull_on_the_smoothed_image_that_vanishes_where_both_agree(case, weight):
    """On its logits it is -alpha q (log q / p - KL(q || p)), which sums to zero; on those of x_t nothing changes."""
    logits, labels, smoothed = case
    task, objective = Classification(logits.shape[1]), Stabilised(weight, agreement="distribution", through=True)
    image = torch.zeros(len(logits), 1, 1, 1)
    for reference in (smoothed, logits):
        z, s = logits.clone().requires_grad_(), reference.clone().requires_grad_()
        looks = (lambda _, s=s: s, None)
        value = objective.value(ObjectiveInputs(image, image, image, z, z, labels, task, 0.0, *looks))
        on_z, on_s = torch.autograd.grad(value.sum(), (z, s))
        q, apart = s.softmax(1), s.log_softmax(1) - z.log_softmax(1)
        expected = -weight * q * (apart - (q * apart).sum(1, keepdim=True))
        torch.testing.assert_close(on_s, expected.detach(), **EXACT)
        detached = Stabilised(weight, agreement="distribution")
        torch.testing.assert_close(on_z, pull(detached, task, logits, labels, reference), **EXACT)
    assert on_s.abs().max() < 1e-9 * max(1.0, weight)


@pytest.mark.parametrize("agreement", ["label", "distribution"])
@pytest.mark.parametrize("exclusive", [True, False])
def test_one_logit_a_pixel_is_bim_with_the_pixels_weighed_anew(agreement, exclusive):
    """Pixel by pixel two classes: the sign of the pull never changes, its weight does, to the good of what has fallen.

    BIM weighs a pixel by p_wrong; here by (1 - alpha) p_wrong + alpha q_wrong, so that a fallen pixel gains alpha
    where a standing one loses: what SegPGD and CosPGD do, the other way round.
    """
    generator = torch.Generator().manual_seed(6)
    structures = 1 if exclusive else 2
    logits, smoothed = torch.randn(2, 3, structures, 5, 5, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(2, (3, structures, 5, 5), generator=generator)
    labels[:, :, 0] = 255
    counted, weight = (labels != 255), 0.6
    task = Segmentation(structures, exclusive=exclusive)
    targets = labels[:, 0] if exclusive else labels
    ours = pull(Stabilised(weight, agreement=agreement), task, logits, targets, smoothed)
    away = torch.where(labels == 1, -1.0, 1.0).double()
    p_wrong, q_wrong = (logits * away).sigmoid(), (smoothed * away).sigmoid()
    q_wrong = (q_wrong > 0.5).double() if agreement == "label" else q_wrong
    share = ((1 - weight) * p_wrong + weight * q_wrong) * counted / counted.flatten(1).sum(1).view(-1, 1, 1, 1)
    torch.testing.assert_close(ours, share * away, **EXACT)
    bim = pull(Deviation(), task, logits, targets, smoothed)
    assert torch.equal(ours.sign(), bim.sign())
    if agreement == "label":
        grown = (ours / bim)[counted]
        assert (grown[q_wrong[counted] == 1] >= 1).all() and (grown[q_wrong[counted] == 0] < 0.5).all()


@pytest.mark.parametrize("agreement", ["label", "distribution"])
def test_masks_of_several_classes_mix_pixel_by_pixel(agreement):
    generator = torch.Generator().manual_seed(7)
    logits, smoothed = torch.randn(2, 3, 4, 5, 5, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(4, (3, 5, 5), generator=generator)
    labels[:, 0] = 255
    counted = (labels != 255).double()
    ours = pull(Stabilised(0.6, agreement=agreement), Segmentation(3), logits, labels, smoothed)
    q = smoothed.softmax(1) if agreement == "distribution" else one_hot(smoothed.argmax(1), 4).movedim(-1, 1)
    y = one_hot(labels.masked_fill(labels == 255, 0), 4).movedim(-1, 1)
    expected = (0.4 * logits.softmax(1) + 0.6 * q - y) * counted[:, None] / 20
    torch.testing.assert_close(ours, expected, **EXACT)


@pytest.mark.parametrize("agreement", ["label", "distribution"])
def test_findings_mix_each_apart_and_unknown_ones_count_nowhere(agreement):
    generator = torch.Generator().manual_seed(8)
    logits, smoothed = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(2, (5, 4), generator=generator)
    labels[::2, 3] = -1
    known = (labels >= 0).double()
    ours = pull(Stabilised(0.6, agreement=agreement), MultiLabel(4), logits, labels, smoothed)
    q = smoothed.sigmoid() if agreement == "distribution" else (smoothed > 0).double()
    expected = (0.4 * logits.sigmoid() + 0.6 * q - labels) * known / known.sum(1, keepdim=True)
    torch.testing.assert_close(ours, expected, **EXACT)
