from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from palpate.audit.subject.preflight import AuditFinding, preflight
from palpate.errors import InputError
from palpate.preprocess import Preprocess
from palpate.tasks.classification import Classification
from palpate.tasks.heads import OneLogit
from palpate.victim import Victim

COUNT = 12
TWO = Classification(2)


class Brightness(nn.Module):
    """Right on every image of `batch`: its logits rise and fall with the image's mean."""

    def __init__(self, then: Callable[[Tensor], Tensor] = lambda logits: logits):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.then = then

    def forward(self, images: Tensor) -> Tensor:
        z = (images.flatten(1).mean(1) - 0.5) * self.scale
        return self.then(torch.stack([-z, z], dim=1))


def batch(channels: int = 1) -> tuple[Tensor, Tensor]:
    targets = torch.arange(COUNT) % 2
    noise = torch.rand(COUNT, channels, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2
    return 0.2 + 0.4 * targets.reshape(-1, 1, 1, 1) + noise, targets


def look(module: nn.Module, task: Classification = TWO, channels: int = 1, **given: Any) -> list[AuditFinding]:
    return preflight(Victim(module), task, *batch(channels), **given)


def only(findings: list[AuditFinding]) -> AuditFinding:
    assert len(findings) == 1, findings
    return findings[0]


def test_a_sound_model_has_no_findings_and_is_left_alone() -> None:
    model = Brightness().eval()
    assert look(model) == []
    assert model.scale.requires_grad and model.scale.grad is None


def test_train_mode_is_noted_and_restored() -> None:
    model = nn.Sequential(Brightness(), nn.Dropout(0.5)).train()
    found = only(look(model))
    assert (found.level, found.subject) == ("note", "train mode")
    assert model.training and model[1].training


def test_one_part_left_in_train_mode_is_noted() -> None:
    model = nn.Sequential(Brightness(), nn.Dropout(0.5)).eval()
    model[1].train()
    assert only(look(model)).subject == "train mode"


def test_wrong_number_of_classes_names_the_plan_field() -> None:
    with pytest.raises(InputError, match=r"shape \[12, 2\].*\[12, 5\].*task\.classes"):
        look(Brightness().eval(), Classification(5))


def test_label_outside_the_classes() -> None:
    images, targets = batch()
    targets[3] = 2
    with pytest.raises(InputError, match="row 3 has 2"):
        preflight(Victim(Brightness().eval()), TWO, images, targets)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 255.0])
def test_images_must_be_finite_and_inside_the_bounds(value: float) -> None:
    images, targets = batch()
    images[5, 0, 2, 2] = value
    with pytest.raises(InputError, match="row 5 holds"):
        preflight(Victim(Brightness().eval()), TWO, images, targets)


def test_outputs_must_be_finite() -> None:
    with pytest.raises(InputError, match="NaN or infinite for 12 of 12"):
        look(Brightness(lambda logits: logits / 0).eval())


def test_a_softmax_is_refused_and_the_sentence_names_the_field() -> None:
    with pytest.raises(InputError, match=r'probabilities of a softmax.*model\.outputs = "softmax"'):
        look(Brightness(lambda logits: logits.softmax(1)).eval())
    assert look(Brightness(lambda logits: logits.softmax(1).log()).eval()) == []


def test_a_sigmoid_before_one_logit_is_refused_and_the_sentence_names_the_field() -> None:
    task = Classification(2, head=OneLogit())
    for shape in (slice(1, None), 1):
        with pytest.raises(InputError, match=r'as after a sigmoid.*model\.outputs = "sigmoid"'):
            look(Brightness(lambda logits, shape=shape: logits[:, shape].sigmoid()).eval(), task)
        assert look(Brightness(lambda logits, shape=shape: logits[:, shape]).eval(), task) == []


def test_logits_that_lie_between_0_and_1_are_believed_where_the_plan_says_so() -> None:
    task = Classification(2, head=OneLogit())
    model = Brightness(lambda logits: logits[:, 1].sigmoid()).eval()
    found = only(look(model, task, logits=True))
    assert (found.level, found.subject) == ("warning", "probabilities")


def test_a_sigmoid_per_class_leaves_the_decision_and_is_a_warning() -> None:
    found = only(look(Brightness(lambda logits: (logits + 0.3).sigmoid()).eval()))
    assert (found.level, found.subject) == ("warning", "probabilities")
    assert 'model.outputs = "sigmoid"' in found.text


def test_one_logit_that_loses_the_axis_of_a_single_image_is_refused() -> None:
    task = Classification(2, head=OneLogit())
    with pytest.raises(InputError, match=r"one image has shape \[\].*\.squeeze\(1\)"):
        look(Brightness(lambda logits: logits[:, 1:].squeeze()).eval(), task)
    with pytest.raises(InputError, match=r"one image has shape \[2\].*\.squeeze\(1\)"):
        look(Brightness(lambda logits: logits.squeeze()).eval())


@pytest.mark.parametrize(("given", "fix"), [(1, r"write channels = 3 in \[model\.preprocess\]"), (2, "fit each other")])
def test_wrong_channels_name_expected_and_given(given: int, fix: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(InputError, match=f"expects images of 3 channels and was given {given}.*{fix}"):
        look(model, channels=given)


def test_the_fix_for_channels_works() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    victim = Victim(model, preprocess=Preprocess(channels=3))
    assert not [found for found in preflight(victim, TWO, *batch()) if found.level == "failure"]


def test_a_model_that_fails_is_quoted_in_one_sentence() -> None:
    with pytest.raises(
        InputError, match=r"fails on images of shape \[12, 1, 8, 8\]: RuntimeError: mat1 and mat2"
    ) as caught:
        look(nn.Sequential(nn.Flatten(), nn.Linear(100, 2)).eval())
    assert "\n" not in str(caught.value)


def test_a_model_that_takes_only_full_batches_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.reshape(COUNT, -1)[:, :2] - 0.5

    with pytest.raises(InputError, match="fails on one image alone"):
        look(Fixed().eval())


def test_random_models_are_refused_or_allowed() -> None:
    model = Brightness(lambda logits: nn.functional.dropout(logits, 0.5, training=True)).eval()
    with pytest.raises(InputError, match=r"differ by up to [\d.]+ in evaluation mode.*random_model"):
        look(model)
    found = {one.subject: one for one in look(model, random_model="allow")}
    assert "mean over 16 draws" in found["random model"].text


@pytest.mark.parametrize(("noise", "level"), [(0.05, "note"), (50.0, "warning")])
def test_a_random_model_is_a_warning_only_if_means_decide_differently_too(noise: float, level: str) -> None:
    model = Brightness(lambda logits: logits + noise * torch.randn_like(logits)).eval()
    images, targets = batch()
    victim = Victim(model)
    found = {one.subject: one for one in preflight(victim, TWO, images, targets, random_model="allow", draws=4)}
    assert found["random model"].level == level and victim.draws == 4
    assert ("run.draws = 16" in found["random model"].text) == (level == "warning")


def test_a_small_difference_is_not_averaged() -> None:
    model = Brightness(lambda logits: logits + 1e-5 * torch.randn_like(logits)).eval()
    victim, (images, targets) = Victim(model), batch()
    found = {one.subject: one for one in preflight(victim, TWO, images, targets, random_model="allow")}
    assert found["random model"].level == "warning" and victim.draws == 1


def test_outputs_that_depend_on_the_batch_are_a_failure() -> None:
    found = look(Brightness(lambda logits: logits - logits.mean(0)).eval())
    assert ("failure", "batch dependence") in [(one.level, one.subject) for one in found]


def test_a_detached_model_keeps_attacks_without_gradient() -> None:
    found = only(look(Brightness(lambda logits: logits.detach()).eval()))
    assert (found.level, found.subject) == ("failure", "gradients")
    assert "No gradient flows" in found.text and "noise" in found.text


def test_a_backward_pass_that_fails_is_a_failure() -> None:
    class Unfinished(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, logits: Tensor) -> Tensor:
            return logits.clone()

        @staticmethod
        def backward(ctx: object, *gradients: Tensor) -> Tensor:
            raise RuntimeError("no backward for this layer")

    found = only(look(Brightness(Unfinished.apply).eval()))
    assert "no backward for this layer" in found.text


def test_rounding_blocks_every_gradient() -> None:
    found = only(look(Brightness(lambda logits: logits.round() + 0.25).eval()))
    assert (found.level, found.subject) == ("failure", "gradients")
    assert "12 of 12" in found.text


def test_saturated_loss_is_a_warning() -> None:
    found = only(look(Brightness(lambda logits: logits * 1e4).eval()))
    assert (found.level, found.subject) == ("warning", "saturation")


def test_one_image_is_enough() -> None:
    images, targets = batch()
    assert preflight(Victim(Brightness().eval()), TWO, images[:1], targets[:1]) == []
