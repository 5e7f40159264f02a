"""What every recipe promises, for every task that it trains."""

from functools import cache

import pytest
import torch

from palpate.hardening.contracts import Crafted
from palpate.hardening.recipes.mixture import Mixture
from palpate.hardening.recipes.table import RECIPES, make
from palpate.tasks.kinds import kind_of
from palpate.tensors import leaves, mapped
from tests.hardening.recipes.scenes import BOUNDS, COUNT, EPS, SCENES

SHORT = {
    "pgd": {"steps": 3},
    "trades": {"steps": 3},
    "mart": {"steps": 3},
    "smia": {"steps": 3},
    "artefacts": {"names": ["noise", "position"], "draws": 2, "clean_share": 0.0},
}
REACH = {"fast": 3 * EPS}
KINDS = {"softmax": 0, "one_logit": 0, "ordinal": 0, "findings": 1, "masks": 2, "volumes": 2, "overlapping": 2}
NAMES = ("classification", "multilabel", "segmentation", "detection")
CASES = [
    (recipe, scene)
    for recipe, entry in RECIPES.items()
    for scene in SCENES
    if NAMES[KINDS.get(scene, 3)] in entry.tasks
]
every = pytest.mark.parametrize(("recipe", "scene"), CASES)
CLIMBS = [case for case in CASES if case[0] != "artefacts"]


@cache
def scene_of(name):
    return SCENES[name]()


def recipe_of(name, scene, **more):
    return make(name, SHORT.get(name, {}) | more, scene.task, scene.situation().threat)


@cache
def crafted(name, scene_name):
    """Crafted once for all contracts: images, module before, random states before and after, situation, passes."""
    scene = scene_of(scene_name)
    scene.module.train()
    before = {key: value.clone() for key, value in scene.module.state_dict().items()}
    random = torch.get_rng_state()
    situation = scene.situation()
    batch = scene.batch()
    made = recipe_of(name, scene).craft(batch, situation)
    assert torch.equal(batch.images, scene.images), "the batch is not written to"
    passes = (situation.victim.forwards, situation.victim.backwards)
    return made, before, random, torch.get_rng_state(), situation, passes


@every
def test_images_obey_bounds_stored_steps_and_region_exactly_and_the_ball_unless_the_recipe_leaves_it(recipe, scene):
    images = crafted(recipe, scene)[0].images
    clean = scene_of(scene).images
    assert images.shape == clean.shape
    assert images.min() >= BOUNDS[0]
    assert images.max() <= BOUNDS[1]
    assert torch.equal(images, images.round()), "whole stored steps"
    change = (images - clean).abs()
    if recipe != "artefacts":
        half = clean.shape[-1] // 2
        assert not change[..., half:].any(), "outside the region nothing changes"
        assert change.max() <= REACH.get(recipe, EPS)
        assert change.flatten(1).amax(1).gt(0).all(), "every image is changed, right or wrong"
    if recipe == "fast":
        assert change.max() > EPS, "the step is not brought back into the ball"


@every
def test_crafting_leaves_the_module_and_random_numbers_as_they_are(recipe, scene):
    _, before, random, after, *_ = crafted(recipe, scene)
    module = scene_of(scene).module
    assert module.training
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert torch.equal(random, after)


@every
def test_the_loss_is_one_finite_number_that_reaches_every_parameter(recipe, scene):
    made, *_, situation, _ = crafted(recipe, scene)
    here = scene_of(scene)
    loss = recipe_of(recipe, here).loss(here.batch(), made, situation)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert loss > 0
    gradients = torch.autograd.grad(loss, list(here.module.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    # The bias before a batch norm has no effect in training mode, so its gradient is rounding.
    assert all(gradient.any() for gradient in gradients)
    here.module.load_state_dict(crafted(recipe, scene)[1])


@every
def test_equal_streams_give_equal_bytes(recipe, scene):
    here = scene_of(scene)
    again = recipe_of(recipe, here).craft(here.batch(), here.situation())
    made = crafted(recipe, scene)[0]
    assert torch.equal(again.images, made.images)
    assert all(torch.equal(one, other) for one, other in zip(leaves(again), leaves(made), strict=True))


@every
def test_an_image_does_not_depend_on_its_batch(recipe, scene):
    here, made = scene_of(scene), crafted(recipe, scene)[0]
    for row in (0, COUNT - 1):
        alone = recipe_of(recipe, here).craft(here.batch([row]), here.situation())
        assert torch.allclose(alone.images[0], made.images[row], atol=1e-9)
        for one, other in zip(leaves(alone.targets), leaves(made.targets), strict=True):
            assert torch.allclose(one[0].double(), other[row].double())


HIGHER = [case for case in CLIMBS if case[0] != "trades" and case != ("cospgd", "boxes")]
"""`trades` climbs the distance from the clean outputs, and `cospgd` on boxes leaves out what is invented."""


@pytest.mark.parametrize(("recipe", "scene"), HIGHER)
def test_crafted_images_have_a_higher_loss_than_clean_ones(recipe, scene):
    here = scene_of(scene)
    made, *_, situation, _ = crafted(recipe, scene)
    # Detectors are attacked by the loss of the audit and trained by another one.
    loss = here.task.loss if scene == "boxes" else situation.loss
    with situation.victim, torch.no_grad():
        before = loss(situation.victim.judge(here.images), here.targets).mean()
        after = loss(situation.victim.judge(made.images), made.targets).mean()
    assert after > before


@pytest.mark.parametrize("scene", list(SCENES))
def test_trades_moves_the_outputs_and_more_steps_move_them_further(scene):
    here = scene_of(scene)
    situation = here.situation()
    with situation.victim, torch.no_grad():
        clean = situation.victim.judge(here.images)
        apart = []
        for steps in (1, 6):
            images = make("trades", {"steps": steps}, here.task).craft(here.batch(), situation).images
            moved = situation.victim.judge(images)
            apart.append(float(here.task.consistency_loss(moved, clean, "distribution", here.targets).mean()))
    assert 0 < apart[0] < apart[1]


@pytest.mark.parametrize("scene", list(SCENES))
def test_of_several_artefacts_the_worst_is_kept(scene):
    here = scene_of(scene)
    situation = here.situation()
    losses = []
    for draws in (1, 3):
        made = recipe_of("artefacts", here, draws=draws).craft(here.batch(), situation)
        with situation.victim, torch.no_grad():
            losses.append(situation.loss(situation.victim.judge(made.images), made.targets))
    # The first draw is the same, whatever comes after it.
    assert (losses[1] >= losses[0] - 1e-9).all()
    assert (losses[1] > losses[0]).any()


@pytest.mark.parametrize(("recipe", "scene"), CLIMBS)
def test_passes_are_those_of_the_steps_and_no_more(recipe, scene):
    *_, (forwards, backwards) = crafted(recipe, scene)
    steps = getattr(recipe_of(recipe, scene_of(scene)), "steps", 1)
    assert forwards == COUNT * {"trades": steps + 1, "smia": 2 * steps}.get(recipe, steps)
    # An image whose gradient is exactly zero at the first step asks for the margin's, once for the batch.
    assert backwards in (COUNT * steps, COUNT * (steps + (recipe == "segpgd")))


def test_artefacts_cost_one_forward_per_draw():
    here = scene_of("softmax")
    situation = here.situation()
    recipe_of("artefacts", here).craft(here.batch(), situation)
    assert (situation.victim.forwards, situation.victim.backwards) == (2 * COUNT, 0)


@pytest.mark.parametrize("recipe", ["fast", "fgsm", "pgd", "smia", "artefacts"])
def test_spared_images_stay_as_they_are_and_the_others_are_attacked_as_without_them(recipe):
    here = scene_of("softmax")
    made = recipe_of(recipe, here, clean_share=0.5)
    images = made.craft(here.batch(), here.situation()).images
    spared = (images == here.images).flatten(1).all(1)
    assert 0 < int(spared.sum()) < COUNT
    alone = made.craft(here.batch([int((~spared).nonzero()[0])]), here.situation()).images
    assert torch.allclose(alone[0], images[~spared][0])
    assert torch.equal(recipe_of(recipe, here, clean_share=1).craft(here.batch(), here.situation()).images, here.images)


@pytest.mark.parametrize("scene", ["softmax", "masks", "boxes"])
@pytest.mark.parametrize("recipe", list(RECIPES))
def test_without_an_attack_a_recipe_trains_on_the_images_as_they_are(recipe, scene):
    here = scene_of(scene)
    if kind_of(here.task) not in RECIPES[recipe].tasks:
        return
    situation = here.situation()
    state = {key: value.clone() for key, value in here.module.state_dict().items()}
    here.module.eval()
    batch = here.batch()
    loss = recipe_of(recipe, here).loss(batch, Crafted(batch.images, batch.targets), situation)
    plain = situation.loss(here.module(batch.images), batch.targets).mean()
    here.module.load_state_dict(state)
    here.module.train()
    assert loss >= plain - 1e-9
    if recipe not in ("mart", "smia"):
        assert torch.allclose(loss, plain)


def test_a_mixture_chooses_by_the_batch_and_repeats():
    here = scene_of("softmax")
    parts = (recipe_of("fast", here), recipe_of("pgd", here))
    mixed = Mixture(parts, (3.0, 1.0))
    assert mixed.name == "fast 75 % + pgd 25 %"
    batches = [here.batch([row % COUNT])._replace(streams=type(here.batch().streams)([row])) for row in range(200)]
    chosen = [mixed.of(batch).name for batch in batches]
    assert 0.65 < chosen.count("fast") / 200 < 0.85
    batch = here.batch()
    before = mixed.of(batch)
    made = mixed.craft(batch, here.situation())
    assert mixed.of(batch) is before, "drawing numbers from the streams changes nothing"
    assert torch.equal(made.images, before.craft(here.batch(), here.situation()).images)
    assert torch.equal(mapped(lambda part: part, made).targets, here.targets)
