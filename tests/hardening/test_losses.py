"""Training losses of every task, class weights, and losses from the user's own code."""

import pytest
import torch
import torch.nn.functional as F

from palpate.annotations import Masks
from palpate.errors import InputError
from palpate.hardening.losses.default import default_loss
from palpate.hardening.losses.own import own_loss
from palpate.hardening.losses.weights import balanced, check_weights
from palpate.models.blackbox import FromProbabilities
from palpate.models.outputs import Chosen
from palpate.tasks.classification import Classification
from palpate.tasks.criteria import Bipartite
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Vanish
from palpate.tasks.goals import Towards
from palpate.tasks.heads import Cumulative, OneLogit
from palpate.tasks.masks.goals import Erase
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import mapped
from tests.hardening.recipes.scenes import SCENES


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", list(SCENES))
def test_each_image_has_a_finite_loss_of_at_least_zero_that_falls_as_the_model_learns(name):
    scene = SCENES[name]()
    loss = default_loss(scene.task)
    optimiser = torch.optim.Adam(scene.module.parameters(), 1e-2)
    seen = []
    for _ in range(15):
        values = loss(scene.module(scene.images), scene.targets)
        assert values.shape == (len(scene.images),)
        assert torch.isfinite(values).all()
        assert (values >= 0).all()
        seen.append(float(values.mean().detach()))
        optimiser.zero_grad()
        values.mean().backward()
        optimiser.step()
    assert seen[-1] < 0.9 * seen[0]


@pytest.mark.parametrize("name", list(SCENES))
def test_the_loss_of_an_image_does_not_depend_on_its_batch(name):
    scene = SCENES[name]()
    loss, module = default_loss(scene.task), scene.module.eval()
    outputs = module(scene.images)
    alone = loss(mapped(lambda part: part[3:4], outputs), mapped(lambda part: part[3:4], scene.targets))
    assert torch.allclose(alone, loss(outputs, scene.targets)[3:4])


def test_classes_are_cross_entropy_through_their_head():
    logits, labels = drawn(6, 3), torch.arange(6) % 3
    assert torch.allclose(default_loss(Classification(3))(logits, labels), F.cross_entropy(
        logits, labels, reduction="none"))  # fmt: skip
    one, two = drawn(6, 1), torch.arange(6) % 2
    wanted = F.binary_cross_entropy_with_logits(one[:, 0], two.double(), reduction="none")
    assert torch.allclose(default_loss(Classification(2, head=OneLogit(0.3)))(one, two), wanted)
    grades = default_loss(Classification(4, head=Cumulative()))(logits, labels)
    chained = [F.softplus(logits[0, 0]), F.softplus(-logits[1, 0]) + F.softplus(logits[1, 1])]
    assert torch.allclose(grades[:2], torch.stack(chained))


def test_class_weights_count_each_image_by_its_class():
    logits, labels = drawn(6, 3), torch.arange(6) % 3
    plain = default_loss(Classification(3))(logits, labels)
    weighted = default_loss(Classification(3), (1.0, 2.0, 0.5))(logits, labels)
    assert torch.allclose(weighted, plain * torch.tensor([1.0, 2.0, 0.5]).double()[labels])


def test_findings_leave_out_what_is_unknown():
    logits, labels = drawn(4, 3), torch.tensor([[1, 0, -1], [-1, -1, -1], [1, 1, 0], [0, 0, 1]])
    loss = default_loss(MultiLabel(3))(logits, labels)
    wanted = F.binary_cross_entropy_with_logits(logits[0, :2], torch.tensor([1.0, 0.0]).double())
    assert torch.allclose(loss[0], wanted)
    assert loss[1] == 0
    weighted = default_loss(MultiLabel(3), (3.0, 1.0, 1.0))(logits, labels)
    extra = 2 * F.softplus(-logits[[0, 2], 0]) / torch.tensor([2.0, 3.0]).double()
    assert torch.allclose(weighted[[0, 2]], loss[[0, 2]] + extra)


@pytest.mark.parametrize("axes", [2, 3])
def test_masks_are_cross_entropy_and_soft_dice_without_ignored_pixels(axes):
    logits = drawn(2, 3, *[4] * axes)
    labels = torch.randint(0, 3, (2, *[4] * axes), generator=torch.Generator().manual_seed(1))
    labels[:, 0] = 255
    loss = default_loss(Segmentation(2))(logits, Masks(labels))
    entropy = F.cross_entropy(logits, labels, ignore_index=255, reduction="none")
    p = logits.softmax(1) * (labels != 255)[:, None]
    for row in range(2):
        scores = []
        for index in (1, 2):
            true = labels[row] == index
            scores.append(2 * (p[row, index] * true).sum() / (p[row, index].sum() + true.sum()))
        wanted = entropy[row].sum() / (labels[row] != 255).sum() + 1 - sum(scores) / 2
        assert torch.allclose(loss[row], wanted)
    assert torch.equal(default_loss(Segmentation(2))(logits, labels), loss), "plain labels are read as masks"


def test_masks_without_the_structure_learn_to_find_nothing():
    loss = default_loss(Segmentation(1))
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    found, nothing = (loss(torch.full((1, 1, 4, 4), value), Masks(labels)) for value in (3.0, -3.0))
    assert found > nothing


def test_masks_of_another_grid_are_brought_to_it():
    coarse = drawn(1, 2, 2, 2)
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[:, :2] = 1
    fine = F.interpolate(coarse, size=(4, 4), mode="bilinear", align_corners=False)
    one, other = (default_loss(Segmentation(1, resample=True))(logits, Masks(labels)) for logits in (coarse, fine))
    assert torch.allclose(one, other)


def test_weights_of_masks_count_pixels_by_their_label():
    logits, labels = drawn(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[:, 0] = 1
    plain, weighted = (default_loss(Segmentation(1), weights)(logits, labels) for weights in ((), (1.0, 5.0)))
    extra = 4 * F.cross_entropy(logits, labels, reduction="none")[labels == 1].sum() / 16
    assert torch.allclose(weighted, plain + extra)
    stack = torch.stack([labels, 1 - labels], 1)
    task = Segmentation(2, exclusive=False)
    plain, weighted = (default_loss(task, weights)(logits, stack) for weights in ((), (1.0, 5.0)))
    extra = 4 * F.softplus(-logits[:, 1])[stack[:, 1] == 1].sum() / 32
    assert torch.allclose(weighted, plain + extra)


def test_a_score_or_structure_of_the_audit_does_not_narrow_the_training():
    logits, labels = drawn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    narrow = Segmentation(2, metric="iou", structure=1, goal=Erase(0))
    assert torch.equal(default_loss(narrow)(logits, labels), default_loss(Segmentation(2))(logits, labels))


def test_a_goal_of_an_attack_is_no_goal_of_the_training():
    logits, labels = drawn(6, 3), torch.arange(6) % 3
    aimed = Classification(3, goal=Towards((1,)))
    assert torch.equal(default_loss(aimed)(logits, labels), default_loss(Classification(3))(logits, labels))
    scene = SCENES["boxes"]()
    outputs = scene.module(scene.images)
    vanish = default_loss(Detection(2, goal=Vanish()))(outputs, scene.targets)
    assert torch.equal(vanish, default_loss(Detection(2))(outputs, scene.targets))


def test_boxes_are_trained_on_the_criterion_of_their_task():
    scene = SCENES["boxes"]()
    outputs = scene.module(scene.images)
    logits = torch.cat([outputs.logits, torch.zeros_like(outputs.logits[..., :1])], -1)
    outputs = outputs._replace(logits=logits)
    task = Detection(2, head="softmax", criterion=Bipartite())
    assert torch.equal(default_loss(task)(outputs, scene.targets), Bipartite()(outputs, scene.targets))


def test_wrapped_modules_are_trained_through_their_wrapper():
    scene = SCENES["softmax"]()

    class Parts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = scene.module

        def forward(self, images):
            return {"out": self.inner(images).softmax(1)}

    wrapped = FromProbabilities(Chosen(Parts(), "out"), "softmax")
    wrapped.eval()
    loss = default_loss(scene.task)(wrapped(scene.images), scene.targets)
    assert torch.allclose(loss, default_loss(scene.task)(scene.module(scene.images), scene.targets))
    loss.mean().backward()
    assert all(parameter.grad is not None for parameter in scene.module.parameters())


# -- class weights ----------------------------------------------------------------------------------------------


def test_balanced_weights_are_inverse_to_the_frequencies():
    labels = [torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1, 2, 2, 0])]
    assert balanced(Classification(3), labels) == pytest.approx((9 / 18, 9 / 3, 9 / 6))
    findings = [torch.tensor([[1, 0], [0, 0], [0, -1], [0, 1]])]
    assert balanced(MultiLabel(2), findings) == pytest.approx((3.0, 2.0))
    masks = torch.zeros(1, 10, 10, dtype=torch.int64)
    masks[:, 0], masks[:, 9] = 1, 255
    assert balanced(Segmentation(1), [Masks(masks)]) == pytest.approx((90 / 160, 90 / 20))
    stack = torch.stack([masks == 1, masks == 0], 1).long()
    assert balanced(Segmentation(2, exclusive=False), [stack]) == pytest.approx((90 / 10, 20 / 80))


def test_a_class_that_is_never_seen_and_a_tiny_one_have_a_bounded_weight():
    weights = balanced(Classification(3), [torch.zeros(5000, dtype=torch.int64), torch.tensor([1])])
    assert weights[1] == weights[2] == pytest.approx(100 * weights[0])


@pytest.mark.parametrize(
    ("task", "weights", "said"),
    [
        (Classification(3), (1.0, 1.0), "harden.class_weights: there are 2, and 3 are needed, one per class."),
        (MultiLabel(2), (1.0,), "one per finding."),
        (Segmentation(1), (1.0,), "one per label of a mask, background first."),
        (Segmentation(3, exclusive=False), (1.0,), "and 3 are needed, one per structure."),
        (Classification(2), (1.0, 0.0), "harden.class_weights: 0 must be a number above 0."),
        (Detection(2), (1.0, 1.0), "harden.class_weights: the loss of boxes has none."),
    ],
)
def test_weights_that_do_not_fit_are_refused(task, weights, said):
    with pytest.raises(InputError) as error:
        check_weights(task, weights)
    assert said in str(error.value)
    with pytest.raises(InputError):
        default_loss(task, weights)


def test_weights_of_nothing_are_refused():
    with pytest.raises(InputError, match="no training images to count"):
        balanced(Classification(2), [])
    with pytest.raises(InputError, match="the loss of boxes has none"):
        balanced(Detection(2), [])


# -- the user's own loss ----------------------------------------------------------------------------------------

OWN = """
import torch
import torch.nn.functional as F

def good():
    return lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="none")

def mean():
    return lambda outputs, targets: F.cross_entropy(outputs, targets)

def nan():
    return lambda outputs, targets: (outputs[:, 0] * 0 - 1).log()

def negative():
    return lambda outputs, targets: outputs[:, 0] * 0 - 1

def cut():
    return lambda outputs, targets: outputs.detach()[:, 0].abs()

def fails():
    return lambda outputs, targets: outputs[:, 9]

def number():
    return lambda outputs, targets: 3.0

def nothing():
    return None

def broken():
    raise RuntimeError("no")

def itself(outputs, targets):
    return outputs[:, 0].abs()
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "train.py").write_text(OWN)
    return tmp_path


def test_the_users_loss_is_used_as_it_is(root):
    logits, labels = drawn(6, 3).requires_grad_(), torch.arange(6) % 3
    loss = own_loss("train.py:good", root)
    assert torch.equal(loss(logits, labels), F.cross_entropy(logits, labels, reduction="none"))
    assert loss == own_loss("train.py:good", root) != own_loss("train.py:mean", root)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mean", "train.py:mean returned a tensor of float64 and shape [] for 6 images. Return one number per image"),
        ("nan", "train.py:nan returned nan for 6 of 6 images, whose outputs are finite"),
        ("negative", "train.py:negative returned -1, and a loss is at least 0"),
        ("cut", "train.py:cut returned a loss without gradient"),
        ("fails", "train.py:fails fails with IndexError"),
        ("number", "train.py:number returned float for 6 images"),
    ],
)
def test_what_a_users_loss_returns_is_checked(root, name, said):
    logits, labels = drawn(6, 3).requires_grad_(), torch.arange(6) % 3
    with pytest.raises(InputError) as error:
        own_loss(f"train.py:{name}", root)(logits, labels)
    assert str(error.value).startswith("harden.loss: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_nan_outputs_are_not_blamed_on_the_users_loss(root):
    logits = torch.full((2, 3), torch.nan, requires_grad=True)
    assert own_loss("train.py:good", root)(logits, torch.tensor([0, 1])).isnan().all()


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (
            "train.py:itself",
            "harden.loss: train.py:itself(outputs, targets) is a factory: it is called once, without arguments, and "
            "returns a function of outputs and targets.",
        ),
        ("train.py:nothing", "harden.loss: train.py:nothing returned NoneType. It must return a function"),
        ("train.py:goood", "harden.loss: train.py:goood: there is no function 'goood'. Did you mean 'good'?"),
        ("trian.py:good", "Did you mean 'train.py'?"),
        ("train.py:broken", "failed with RuntimeError: no"),
        ("train.py", 'harden.loss: "train.py" is not of the form'),
    ],
)
def test_a_factory_that_gives_no_loss_is_refused_in_a_sentence(root, factory, said):
    with pytest.raises(InputError) as error:
        own_loss(factory, root)
    assert said in str(error.value)
    assert "model.factory" not in str(error.value)
    assert "model.arguments" not in str(error.value)
