"""`fast`, `fgsm`, `pgd` and `trades` on models whose worst image is known in closed form."""

import pytest
import torch

from palpate.checks.victims import LEVEL, Linear
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.hardening.contracts import Batch, Situation
from palpate.hardening.losses.default import default_loss
from palpate.hardening.recipes.artefacts import Artefacts
from palpate.hardening.recipes.dense import CosPgd, SegPgd
from palpate.hardening.recipes.gradient import Fast, Fgsm, Pgd
from palpate.hardening.recipes.mart import Mart
from palpate.hardening.recipes.mixture import Mixture
from palpate.hardening.recipes.smia import Smia
from palpate.hardening.recipes.starts import Beside, Loose
from palpate.hardening.recipes.trades import Trades
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tensors import lengths
from palpate.threats.ball import L1, L2, Linf
from palpate.threats.confined import Confined
from palpate.threats.frequency import Frequency
from palpate.victim import Victim

EPS = 4.0


def linear(threat):
    """A linear model, images around its level and labels of both classes, some of them wrong."""
    weights = torch.linspace(-1, 1, 3 * 36, dtype=torch.float64)[torch.randperm(108, generator=seeded(1))]
    module = Linear(weights.reshape(3, 6, 6) * 0.01, 0.0)
    images = (torch.rand(8, 3, 6, 6, generator=seeded(2), dtype=torch.float64) - 0.5) * 60 + LEVEL
    labels = torch.arange(8) % 2
    task = Classification(2)
    situation = Situation(Victim(module, (0.0, 255.0)), task, threat, default_loss(task), module)
    return situation, Batch(images, labels, Limits(), Streams(range(8))), module.weights.detach()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def uphill(weights, labels):
    """Sign of the loss's gradient: class 0 loses along -w, class 1 along w."""
    return weights.sign() * torch.where(labels == 0, -1.0, 1.0).reshape(-1, 1, 1, 1)


def test_pgd_ends_in_the_worst_corner_of_the_ball_for_images_that_are_right_or_wrong():
    situation, batch, weights = linear(Linf(EPS))
    made = Pgd().craft(batch, situation)
    with situation.victim:
        assert 0 < int((situation.victim.judge(batch.images).argmax(1) == batch.targets).sum()) < 8
    assert torch.allclose(made.images, batch.images + EPS * uphill(weights, batch.targets))


def test_pgd_in_l2_goes_the_whole_radius_along_the_weights():
    situation, batch, weights = linear(L2(EPS))
    made = Pgd(steps=20, step=0.5).craft(batch, situation)
    signs = torch.where(batch.targets == 0, -1.0, 1.0).reshape(-1, 1, 1, 1)
    assert torch.allclose(made.images, batch.images + EPS * signs * weights / weights.norm(), atol=0.05)


def test_fast_is_noise_of_two_radii_and_a_step_of_one_and_nothing_is_projected():
    situation, batch, weights = linear(Linf(EPS))
    made = Fast().craft(batch, situation)
    noise = (Streams(range(8)).uniform(batch.images.shape[1:], batch.images) * 2 - 1) * 2 * EPS
    assert torch.allclose(made.images, batch.images + noise + EPS * uphill(weights, batch.targets))
    assert float((made.images - batch.images).abs().max()) > 2.8 * EPS


def test_fast_has_the_form_that_is_asked_for():
    situation, batch, weights = linear(Linf(EPS))
    still = Fast(noise=0, step=0.5).craft(batch, situation)
    assert torch.allclose(still.images, batch.images + EPS / 2 * uphill(weights, batch.targets))
    mild = Fast(noise=0.5, step=0.5).craft(batch, situation)
    assert float((mild.images - batch.images).abs().max()) <= EPS * (1 + 1e-9)


def test_fast_obeys_the_bounds():
    situation, batch, _ = linear(Linf(EPS))
    for face in (0.0, 255.0):
        made = Fast().craft(batch._replace(images=torch.full_like(batch.images, face)), situation)
        assert float(made.images.min()) >= 0
        assert float(made.images.max()) <= 255
        assert float((made.images - face).abs().max()) > EPS


@pytest.mark.parametrize(("threat", "norm"), [(L2(EPS), "l2"), (L1(20.0), "l1"), (Confined(EPS, "l2"), "l2")])
def test_fast_in_other_norms_leaves_the_ball_by_at_most_noise_and_step(threat, norm):
    situation, batch, weights = linear(threat)
    reached = lengths(Fast().craft(batch, situation).images - batch.images, norm)
    assert (reached <= 3 * threat.eps * (1 + 1e-5)).all()
    assert (reached > threat.eps).any()
    step = Fast(noise=0).craft(batch, situation).images - batch.images
    assert torch.allclose(lengths(step, norm), torch.full((8,), threat.eps, dtype=torch.float64))
    along = (step * weights * torch.where(batch.targets == 0, -1.0, 1.0).reshape(-1, 1, 1, 1)).flatten(1).sum(1)
    assert (along > 0).all()


def test_fast_on_the_lattice_of_a_file_is_whole_steps():
    situation, batch, _ = linear(Confined(EPS, lattice=True, channels=(1.0, 0.5, 0.0)))
    limits = Limits(step=torch.full((8,), 2.0, dtype=torch.float64))
    change = Fast().craft(batch._replace(images=batch.images.round(), limits=limits), situation).images
    change = change - batch.images.round()
    assert torch.equal(change, (change / 2).round() * 2)
    assert [float(change[:, index].abs().max()) for index in range(3)] == [3 * EPS, 3 * EPS / 2, 0.0]


def test_a_threat_that_cannot_be_widened_is_kept():
    situation, batch, _ = linear(Frequency(EPS, 3))
    space = situation.threat.around(batch.images, (0.0, 255.0))
    assert (space.size(Fast().craft(batch, situation).images) <= EPS * (1 + 1e-6)).all()


def test_fgsm_is_brought_back_into_the_ball():
    situation, batch, weights = linear(Linf(EPS))
    made = Fgsm().craft(batch, situation).images - batch.images
    assert float(made.abs().max()) <= EPS * (1 + 1e-9)
    plain = Fgsm(step=1.0, random_start=False).craft(batch, situation).images
    assert torch.allclose(plain, batch.images + EPS * uphill(weights, batch.targets))


@pytest.mark.parametrize(
    "threat",
    [Confined(EPS, lattice=True), Confined(20.0, "l2", lattice=True),
     Confined(60.0, "l1", lattice=True), Confined(EPS, lattice=True, smooth=1.0),
     Confined(EPS, lattice=True, channels=(0.5, 0.5, 0.5)), Linf(EPS), Frequency(EPS, 3)],
    ids=lambda threat: threat.describe()[:60],
)  # fmt: skip
def test_trades_starts_beside_the_image_where_its_distance_has_a_gradient(threat):
    situation, batch, _ = linear(threat)
    batch = batch._replace(images=batch.images.round(), limits=Limits(step=torch.ones(8, dtype=torch.float64)))
    space = Beside(threat, 0.03).around(batch.images, (0.0, 255.0), batch.limits)
    start = space.to_image(space.sample(batch.streams))
    assert (start != batch.images).flatten(1).any(1).all()
    if not (getattr(threat, "smooth", 0) or isinstance(threat, Frequency)):
        least = {"linf": 1.0, "l2": 2.0, "l1": 2.0}[threat.norm] if isinstance(threat, Confined) else 0.0
        assert (space.size(start) <= max(0.03 * threat.eps, least) * (1 + 1e-5)).all()
    Trades(steps=2).craft(batch, situation)
    assert situation.victim.backwards == 16, "no image fell back on its margin"


def test_starts_say_what_they_are():
    assert Loose(Linf(2.0), 2.0, 1.0).describe() == "every stored value changes by at most 2, left by up to 2 radii"
    assert Beside(Linf(2.0), 0.1).describe() == "every stored value changes by at most 2"
    assert (Loose(L2(2.0), 2.0, 1.0).norm, Loose(L2(2.0), 2.0, 1.0).eps) == ("l2", 2.0)


def test_trades_trains_on_clean_loss_and_beta_times_the_distance():
    situation, batch, _ = linear(Linf(EPS))
    made = Trades().craft(batch, situation)
    clean, moved = situation.network(batch.images), situation.network(made.images)
    apart = (clean.softmax(1) * (clean.log_softmax(1) - moved.log_softmax(1))).sum(1)
    wanted = torch.nn.functional.cross_entropy(clean, batch.targets) + 2.5 * apart.mean()
    assert torch.allclose(Trades(beta=2.5).loss(batch, made, situation), wanted)


def test_mart_weighs_images_that_the_model_is_unsure_of():
    situation, batch, _ = linear(Linf(EPS))
    made = Mart().craft(batch, situation)
    clean, moved = situation.network(batch.images).softmax(1), situation.network(made.images).softmax(1)
    truth = torch.nn.functional.one_hot(batch.targets, 2)
    p, q = (clean * truth).sum(1), (moved * truth).sum(1)
    boosted = -q.log() - (1.0001 - (1 - q)).log().clamp(max=0)
    apart = (clean * (clean.log() - moved.log())).sum(1)
    assert torch.allclose(Mart(beta=3).loss(batch, made, situation), (boosted + 3 * apart * (1 - p)).mean())


def test_smia_asks_attacked_and_smoothed_images_to_agree_through_both():
    situation, batch, _ = linear(Linf(EPS))
    made = Smia(steps=2).craft(batch, situation)
    seen = []
    spy = situation.__class__(**{**vars(situation), "network": lambda x: (seen.append(x), situation.network(x))[1]})
    through, detached = (Smia(steps=2, through=both, weight=2.0) for both in (True, False))
    losses = [recipe.loss(batch, made, spy) for recipe in (through, detached)]
    assert torch.allclose(*losses)
    kernel = torch.nn.functional.pad(made.images - batch.images, (1, 1, 1, 1), mode="replicate")
    middle = torch.exp(torch.tensor([-0.5, 0.0, -0.5], dtype=torch.float64))
    middle = middle / middle.sum()
    patches = kernel.unfold(2, 3, 1).unfold(3, 3, 1)
    assert torch.allclose(seen[1], batch.images + torch.einsum("bchwij,i,j->bchw", patches, middle, middle))
    gradients = [torch.autograd.grad(loss, list(situation.victim.module.parameters()))[0] for loss in losses]
    assert not torch.allclose(*gradients)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Fast(noise=-1), "noise: -1 must be at least 0"),
        (lambda: Fast(step=0), "step: 0 must be above 0"),
        (lambda: Fast(clean_share=1.5), "clean_share: 1.5 must be at least 0 and at most 1"),
        (lambda: Fast(boxes="both"), "boxes: 'both' is not one of summed, alternating, class, place"),
        (lambda: Pgd(steps=0), "steps: 0 must be above 0"),
        (lambda: Pgd(step=float("inf")), "step: inf must be above 0"),
        (lambda: Trades(beta=-1), "beta: -1 must be at least 0"),
        (lambda: Trades(noise=2), "noise: 2 must be above 0 and at most 1"),
        (lambda: Smia(smooth="step"), "smooth: 'step' is not one of perturbation, image"),
        (lambda: Smia(size=4), "size, sigma: a Gaussian of size 4"),
        (lambda: SegPgd(steps=3), "steps: 3 of recipe 'segpgd' must be at least 5"),
        (lambda: CosPgd(steps=4), "steps: 4 of recipe 'cospgd' must be at least 5"),
        (lambda: Artefacts(()), "artefacts: name at least one"),
        (lambda: Artefacts(("nose",)), "There is no artefact 'nose'. Did you mean 'noise'?"),
        (lambda: Artefacts(("noise",), severity=6), "severity: 6 must be above 0 and at most 5"),
        (lambda: Mixture((Fast(),), (1.0,)), "mixture: a mixture needs at least two recipes"),
        (lambda: Mixture((Fast(), Pgd()), (1.0,)), "mixture: 1 shares for 2 recipes"),
        (lambda: Mixture((Fast(), Pgd()), (1.0, 0.0)), "share: 0 must be above 0"),
    ],
)
def test_values_out_of_range_are_refused_in_a_sentence(make, said):
    with pytest.raises(InputError) as error:
        make()
    assert said in str(error.value)
