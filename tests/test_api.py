"""One line for notebooks, and the sentences it answers bad input with."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

import palpate
from palpate.annotations import Boxes, Candidates
from palpate.checks import victims
from palpate.errors import InputError
from palpate.models.detectors.forms import FromBoxes
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Vanish
from palpate.tasks.segmentation import Segmentation


def world():
    network = victims.small_net(bounds=(0.0, 1.0))
    images = victims.images(12, seed=4, bounds=(0.0, 1.0)) * 0.5 + torch.rand(12, 3, 8, 8) * 0.4
    with torch.no_grad():
        return network, images, network(images).argmax(1)


def test_one_line_returns_the_full_result_and_leaves_the_model_alone():
    network, images, labels = world()
    network.train()
    result = palpate.attack(network, images, labels, "smia", eps=8 / 255)
    assert network.training
    assert result.success.any()
    assert result.robust_accuracy == pytest.approx(1 - float(result.success.double().mean()), abs=1)
    assert (result.images - images).abs().max() <= 8 / 255 + 1e-6


def test_seed_parameters_goal_and_vector_of_radii_are_passed_on():
    network, images, labels = world()
    radii = torch.linspace(1, 8, 12) / 255
    first = palpate.attack(network, images, labels, "pgd", eps=radii, steps=5, seed=1)
    again = palpate.attack(network, images, labels, "pgd", eps=radii, steps=5, seed=1)
    other = palpate.attack(network, images, labels, "pgd", eps=radii, steps=5, seed=2)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert (first.distance <= radii.double() + 1e-6).all()
    towards = palpate.attack(network, images, labels, "bim", eps=0.2, goal=1)
    assert (towards.prediction[towards.success] == 1).all()


def test_one_logit_models_are_recognised():
    class OneLogit(nn.Module):
        def forward(self, images):
            return (images.flatten(1).mean(1) - 0.5) * 10

    images = torch.rand(8, 1, 6, 6)
    labels = (images.flatten(1).mean(1) > 0.5).int()
    result = palpate.attack(OneLogit(), images, labels, "bim", eps=0.2)
    assert result.success.all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "pgdd"}, "Did you mean 'pgd'"),
        ({"eps": -1.0}, "positive"),
        ({"eps": 0.0}, "positive"),
        ({"eps": float("nan")}, "positive"),
        ({"eps": 3.0}, "wider than the whole range"),
        ({"eps": [0.1, 0.2]}, "2 radii were given for 12 images"),
        ({"norm": "linff"}, "Did you mean 'linf'"),
        ({"stepps": 3}, "Did you mean 'steps'"),
        ({"steps": 2.5}, "must be int"),
        ({"goal": 9}, "not one of the task's"),
    ],
)
def test_bad_arguments_get_one_sentence(change, word):
    network, images, labels = world()
    settings = {"name": "bim", "eps": 0.1, **change}
    with pytest.raises(palpate.PalpateError, match=word):
        palpate.attack(network, images, labels, settings.pop("name"), **settings)


def test_bad_images_and_labels_get_one_sentence():
    network, images, labels = world()
    cases = [
        (images * 255, labels, "bounds"),
        (images.masked_fill(images > 0.7, float("nan")), labels, "NaN"),
        ((images * 255).byte(), labels, "bounds"),
        (images, labels + 9, "row 0"),
        (images, labels[:3], "one per image"),
        (images, labels + 0.5, "integer classes"),
        (images[:0], labels[:0], "there is none"),
    ]
    for bad, wrong, word in cases:
        with pytest.raises(palpate.InputError, match=word):
            palpate.attack(network, bad, wrong, "bim", eps=0.01)


def test_a_model_that_returns_nan_is_named():
    network, images, labels = world()
    network.head.weight.data[0, 0] = torch.nan
    with pytest.raises(palpate.InputError, match="NaN or infinite for 12 of 12"):
        palpate.attack(network, images, labels, "bim", eps=0.01)


def test_probabilities_and_blocked_gradients_are_warned_of():
    network, images, labels = world()
    with pytest.raises(InputError, match=r'probabilities of a softmax.*outputs = "softmax"'):
        palpate.attack(nn.Sequential(network, nn.Softmax(1)), images, labels, "bim", eps=0.01)

    class Steps(nn.Module):
        def forward(self, images):
            return network((images * 4).round() / 4)

    with pytest.warns(UserWarning, match="gradient is exactly zero"):
        palpate.attack(Steps(), images, network((images * 4).round() / 4).argmax(1), "bim", eps=0.01)


def test_importing_palpate_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, palpate; assert 'torch' not in sys.modules; palpate.Victim; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_masks_are_attacked_in_one_line_and_in_hounsfield_units():
    class Threshold(torch.nn.Module):
        """Lung is what is darker than -500."""

        def forward(self, images):
            return (-500 - images) / 50

    slices = torch.full((2, 1, 8, 8), 40.0)
    slices[:, :, 2:6, 2:6] = -800.0
    masks = (slices[:, 0] < -500).long()
    task = Segmentation(1, floor=0.6)
    settings = {"bounds": (-1024, 3071), "task": task}
    held = palpate.attack(Threshold(), slices, masks, "cospgd", eps=290, **settings)
    beaten = palpate.attack(Threshold(), slices, masks, "cospgd", eps=310, **settings)
    assert held.eligible.all() and not held.success.any()
    assert beaten.success.all() and bool((beaten.images - slices).abs().max() <= 310)


def test_a_goal_beside_a_task_is_refused():
    images, masks = torch.rand(1, 1, 4, 4), torch.zeros(1, 4, 4).long()
    with pytest.raises(InputError, match="it belongs to the task"):
        palpate.attack(torch.nn.Identity(), images, masks, eps=0.1, goal=1, task=Segmentation(1))


def test_changes_are_confined_as_a_threat_and_its_limits_say():
    network, images, labels = world()
    stored = (images * 255).round()
    region = torch.zeros(12, 1, 8, 8, dtype=torch.bool)
    region[..., :5] = True
    settings = {"bounds": (0, 255), "preprocess": lambda values: values / 255}
    threat = palpate.Confined(eps=20, lattice=True, region="the left part", tied=True)
    limits = palpate.Limits(region=region, step=torch.ones(12))
    result = palpate.attack(network, stored, labels, "bim", threat=threat, limits=limits, **settings)
    change = result.images - stored
    assert result.success.any() and change.abs().max() <= 20
    assert torch.equal(change, change.round())
    assert not change[..., 5:].any() and change[..., :5].any()
    assert torch.equal(change, change[:, :1].expand_as(change)), "one change for all channels"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "eps: it is missing"),
        ({"eps": 1.0, "threat": palpate.Confined(1.0)}, "eps: it belongs to the threat"),
        ({"eps": 1.0, "limits": palpate.Limits()}, "limits: a plain ball does not use them"),
        ({"threat": palpate.Confined(1.0, lattice=True)}, "lattice: the images have no stored steps"),
        ({"threat": palpate.Confined(1.0, region="inside body")}, "region: no mask was given"),
        ({"threat": palpate.Confined(1.0, channels=(1.0, 0.5))}, "2 shares were given, and the images have 3"),
        (
            {"eps": 0.1, "robust_to": ["jpg75"]},
            "robust_to: 'jpg75' is not a post-processing step. Did you mean 'jpeg75'",
        ),
        ({"eps": 0.1, "robust_to": ["rounded"]}, "robust_to: rounded: the images store floating point"),
        ({"eps": 0.1, "name": "square", "robust_to": ["blur1"]}, "robust_to: Square follows no gradient"),
    ],
)
def test_threats_and_handlings_that_cannot_be_used_get_one_sentence(change, word):
    network, images, labels = world()
    settings = {"name": "bim", **change}
    with pytest.raises(palpate.InputError, match=word):
        palpate.attack(network, images, labels, settings.pop("name"), **settings)


def test_what_is_found_can_be_asked_to_survive():
    network, images, labels = world()
    blur = palpate.parse_post_processing("blur1", palpate.Scale((0.0, 1.0), step=None))
    margins = {}
    for names in ((), ("blur1",)):
        result = palpate.attack(network, images, labels, "bim", eps=0.1, robust_to=names, run_to_end=True)
        with torch.no_grad():
            outputs = network(blur(result.images))
        chosen = outputs.gather(1, labels[:, None])[:, 0]
        margins[names] = chosen - outputs.scatter(1, labels[:, None], -torch.inf).amax(1)
    assert margins["blur1",].mean() < margins[()].mean()
    with_handling = palpate.attack(network, images, labels, "bim", eps=0.1, robust_to=[blur], run_to_end=True)
    with_name = palpate.attack(network, images, labels, "bim", eps=0.1, robust_to=["blur1"], run_to_end=True)
    assert torch.equal(with_handling.images, with_name.images)


def test_every_name_that_is_exported_is_there():
    assert all(getattr(palpate, name) is not None for name in palpate.__all__)


class Bright(nn.Module):
    """Says whether the middle of an image is bright; `how` makes its outputs of the logit (B,)."""

    def __init__(self, how):
        super().__init__()
        self.how, self.scale = how, nn.Parameter(torch.tensor(20.0))

    def forward(self, images):
        return self.how((images.mean((1, 2, 3)) - 0.5) * self.scale)


def two(logit):
    return torch.stack([-logit, logit], 1)


def bright_world(count=8):
    labels = torch.arange(count) % 2
    return 0.35 + 0.3 * labels.reshape(-1, 1, 1, 1) + torch.zeros(count, 1, 8, 8), labels


def bright_attack(model, images=None, labels=None, **given):
    world = bright_world()
    images, labels = world[0] if images is None else images, world[1] if labels is None else labels
    return palpate.attack(model, images, labels, "bim", **{"eps": 0.2, **given})


def test_a_sigmoid_at_the_end_is_refused_or_turned_into_a_logit():
    model = Bright(lambda logit: logit.sigmoid()[:, None])
    with pytest.raises(InputError, match=r'as after a sigmoid.*outputs = "sigmoid".*outputs = "logits"'):
        bright_attack(model)
    right = bright_attack(Bright(lambda logit: logit[:, None]))
    assert bright_attack(model, outputs="sigmoid").robust_accuracy == right.robust_accuracy == 0
    assert model.training, "the mode in which it was given"
    frozen = nn.Sequential(Bright(two), nn.Dropout(0.9), nn.Softmax(1))
    frozen[1].eval()
    assert bright_attack(frozen, outputs="softmax").robust_accuracy == 0
    assert frozen[0].training and not frozen[1].training, "the mode of every part"
    with pytest.warns(UserWarning, match="No image was attacked"):
        assert bright_attack(model, labels=torch.zeros(8).long(), outputs="logits").robust_accuracy == 0


def test_one_image_is_no_proof_of_a_sigmoid_and_is_a_warning():
    images, labels = bright_world()
    with pytest.warns(UserWarning, match="as after a sigmoid"):
        bright_attack(Bright(lambda logit: logit.sigmoid()), images[1:2], labels[1:2])


def test_a_squeeze_that_takes_the_axis_of_a_single_image_is_refused():
    images, labels = bright_world()
    for how, some in ((lambda logit: logit[:, None].squeeze(), 8), (lambda logit: two(logit).squeeze(), 1)):
        with pytest.raises(InputError, match=r"without an axis for the images.*\.squeeze\(1\)"):
            bright_attack(Bright(how), images[:some], labels[:some])


@pytest.mark.parametrize("form", ["bytes", "numpy", "lists", "int32 labels", "float64", "half model", "double model"])
def test_images_labels_and_models_of_other_types_give_the_same_figure(form):
    images, labels = bright_world()
    wanted = bright_attack(Bright(two), eps=0.1)
    model, given = Bright(two), {"eps": 0.1}
    match form:
        case "bytes":
            images = (images * 255).byte()
            given = {"eps": 0.1 * 255, "bounds": (0, 255), "preprocess": lambda values: values / 255}
        case "numpy":
            images, labels = images.numpy(), labels.numpy().astype("uint16")
        case "lists":
            images, labels = list(images), labels.tolist()
        case "int32 labels":
            labels = labels.int()
        case "float64":
            images = images.double()
        case "half model":
            model.bfloat16()
        case "double model":
            model.double()
    result = bright_attack(model, images, labels, **given)
    assert (result.robust_accuracy, result.success_rate) == (wanted.robust_accuracy, wanted.success_rate)
    assert result.images.is_floating_point()


def test_a_radius_is_written_as_in_a_plan():
    assert torch.equal(bright_attack(Bright(two), eps="51/255").images, bright_attack(Bright(two), eps=0.2).images)
    several = bright_attack(Bright(two), eps=["10%", 0.2] * 4)
    assert several.success.tolist() == [False, True] * 4
    for wrong in ("8 / 0", "much", [None] * 8, None.__class__):
        with pytest.raises(InputError, match="eps: "):
            bright_attack(Bright(two), eps=wrong)


def test_a_function_is_a_model_and_its_modules_keep_their_mode():
    model = nn.Sequential(Bright(two), nn.Dropout(0.9))
    assert bright_attack(lambda images: model(images) + 0).robust_accuracy == 0
    assert bright_attack(model.forward).robust_accuracy == 0
    assert model.training and model[1].training
    for wrong in (Bright, None, "model.pt"):
        with pytest.raises(InputError, match="module: "):
            bright_attack(wrong)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_switched_on_for_the_attack_alone(mode):
    model = Bright(two)
    with mode():
        images, labels = bright_world()
        assert bright_attack(model, images, labels).robust_accuracy == 0
        assert not torch.is_grad_enabled()
        with pytest.raises(InputError, match=r"inference_mode") if mode is torch.inference_mode else nullcontext():
            bright_attack(Bright(two), images, labels)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": torch.rand(8, 8)}, r"images\[None, None\]"),
        ({"images": torch.rand(8, 8, 8)}, r"images\[:, None\]"),
        ({"images": torch.rand(0, 1, 8, 8)}, "there is none"),
        ({"images": torch.rand(8, 1, 0, 8)}, "no pixel"),
        ({"images": torch.rand(8, 3, 8, 8)}, "1 channels and was given 3"),
        ({"images": torch.rand(8, 1, 8, 8, 8)}, "network for 2D images"),
        ({"images": torch.rand(8, 1, 8, 8).to(torch.complex64)}, "complex"),
        ({"images": "scan.png"}, "images: it is of type str"),
        ({"images": [torch.rand(1, 8, 8), torch.rand(1, 9, 8)]}, "not an array of numbers of one shape"),
        ({"images": torch.full((8, 1, 8, 8), torch.nan)}, "NaN"),
        ({"labels": ["a"] * 8}, "labels: "),
        ({"labels": None}, "labels: it is None"),
        ({"bounds": 255}, "bounds: 255 is not a pair"),
        ({"bounds": (1, 0)}, "lower one first"),
        ({"outputs": "sigmoids"}, "Did you mean 'sigmoid'"),
        ({"labels": torch.eye(8).long()}, r"labels\.argmax\(1\)"),
        ({"eps": True}, "eps: "),
        ({"eps": "5 HU"}, "eps: .*no unit"),
        ({"goal": "sick"}, "goal: 'sick' is not a goal"),
        ({"seed": "a"}, "seed: 'a' is not a whole number"),
        ({"task": "binari"}, "task: there is no 'binari'"),
        ({"threat": "linf"}, "threat: 'linf' is not a threat"),
        ({"task": Segmentation(1)}, "targets: they are for 3 images"),
        ({"task": Segmentation(1), "labels": None}, "targets: they are None, and there are 8"),
    ],
)
def test_what_cannot_be_attacked_gets_one_sentence(given, words):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images, labels = bright_world()
    labels = torch.zeros(3, 8, 8) if "task" in given else labels
    given = {"images": images, "labels": labels, "eps": 0.1, **given}
    with pytest.raises(InputError, match=words) as caught:
        palpate.attack(network, given.pop("images"), given.pop("labels"), "bim", **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda logit: {"logits": logit}, r"returned a dict.*model\.output"),
        (lambda logit: (logit, logit), r"returned a tuple.*model\.output"),
        (lambda logit: None, "returned NoneType"),
        (lambda logit: two(logit).detach().numpy(), "returned ndarray"),
        (lambda logit: two(logit).argmax(1), "decisions, not scores"),
        (lambda logit: two(logit).to(torch.complex64), "complex"),
        (lambda logit: logit[:, None, None, None].expand(-1, 2, 8, 8), "Give the task that reads it"),
        (lambda logit: Candidates(logit[:, None, None], logit.new_zeros(len(logit), 1, 4)), "as a detector"),
    ],
)
def test_a_model_that_returns_something_else_gets_one_sentence(how, words):
    with pytest.raises(InputError, match=words):
        bright_attack(Bright(how))


@pytest.mark.parametrize("name", ["vafa", "asma", "dice-pgd", "cospgd"])
def test_an_attack_on_masks_is_refused_for_classes_as_in_a_plan(name):
    network, images, labels = world()
    with pytest.raises(palpate.PalpateError, match=f"attack '{name}' attacks .*not classification"):
        palpate.attack(network, images, labels, name, eps=8 / 255)


def test_an_attack_that_needs_a_goal_is_refused_without_one():
    with pytest.raises(palpate.PalpateError, match="'asma' needs a goal"):
        palpate.attack(
            nn.Identity(), torch.rand(2, 1, 4, 4), torch.zeros(2, 4, 4), "asma", eps=0.1, task=Segmentation(1)
        )


def test_an_attack_that_leaves_its_ball_says_so():
    network, images, labels = world()
    with pytest.warns(UserWarning, match="'smia-reference' changed"):
        palpate.attack(network, images, labels, "smia-reference", eps=2 / 255, steps=5)


def test_pixel_boxes_are_refused():
    class Pixels(nn.Module):
        def forward(self, images):
            logits = (images.mean((1, 2, 3)) - 0.5)[:, None, None] * 20
            return Candidates(logits, images.new_tensor([2.0, 2.0, 6.0, 6.0]).expand(len(images), 1, 4))

    images, labels = bright_world()
    boxes = Boxes(torch.tensor([0.25, 0.25, 0.75, 0.75]).expand(8, 1, 4), labels[:, None] - 1)
    with pytest.raises(InputError, match=r"look like pixels.*FromBoxes"):
        palpate.attack(Pixels(), images, boxes, "bim", eps=0.1, task=Detection(1))
    named = FromBoxes(Pixels(), "pixels")
    assert len(palpate.attack(named, images, boxes, "bim", eps=0.1, steps=1, task=Detection(1))) == 8


def test_a_detector_that_returns_decided_boxes_is_read_as_it_is():
    class Shipped(nn.Module):
        def forward(self, images):
            scores = ((images.mean((1, 2, 3)) - 0.5) * 20).sigmoid()
            box, one = images.new_tensor([[2.0, 2.0, 6.0, 6.0]]), torch.ones(1, dtype=torch.int64)
            return [{"boxes": box, "labels": one, "scores": score[None]} for score in scores]

    images, labels = bright_world()
    boxes = Boxes(torch.tensor([0.25, 0.25, 0.75, 0.75]).expand(8, 1, 4), labels[:, None] - 1)
    with pytest.warns(UserWarning, match="in pixels; scores are probabilities; its classes are numbered from 1"):
        result = palpate.attack(Shipped(), images, boxes, "pgd", eps=0.9, steps=3, task=Detection(1, Vanish()))
    assert result.success[result.eligible].all() and result.eligible.any()
