"""Recipes by name: what a plan may write, what it is told, and which attacks of the catalogue train what."""

import subprocess
import sys

import pytest
import torch

from palpate import catalog
from palpate.audit.plan.identity import encode
from palpate.errors import InputError, PlanError
from palpate.hardening.recipes.table import (
    RECIPES,
    ImageFacts,
    default_fallback,
    default_judge,
    default_recipe,
    defaults,
    find,
    make,
    mixture,
)
from palpate.tasks.kinds import kind_of
from palpate.threats.ball import L1, Linf
from palpate.threats.confined import Confined
from tests.hardening.recipes.scenes import BOUNDS, EPS, SCENES

SHORT = {"steps": 3, "queries": 8, "passes": 3, "tries": 3}


@pytest.fixture(scope="module")
def scenes():
    return {name: SCENES[name]() for name in SCENES}


def test_the_table_is_read_without_torch():
    code = (
        "import sys; from palpate.hardening.recipes.table import RECIPES, default_recipe; "
        "assert len(RECIPES) == 9 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_entry_makes_its_recipe_with_its_defaults(scenes):
    assert defaults(RECIPES["trades"]) == {"beta": 6.0, "steps": 7, "step": None, "noise": 0.03}
    for name, entry in RECIPES.items():
        scene = next(scene for scene in scenes.values() if kind_of(scene.task) in entry.tasks)
        made = make(name, {"names": ["noise"]} if name == "artefacts" else {}, scene.task)
        assert made.name == name == find(name).name
        assert encode(made)["fields"].keys() >= defaults(entry).keys()
        assert make(name, {"names": ["noise"]} if name == "artefacts" else {}, scene.task) == made


@pytest.mark.parametrize(
    ("name", "settings", "scene", "said"),
    [
        ("trade", {}, "softmax", "There is no recipe 'trade'. Did you mean 'trades'?"),
        ("nonsense", {}, "softmax", "There is no recipe 'nonsense'. Known are "),
        ("apgd-margn", {}, "softmax", "There is no recipe 'apgd-margn'. Did you mean 'apgd-margin'?"),
        ("xyzzy", {}, "softmax", "Known are fast, fgsm, pgd"),
        ("pgd", {"step_count": 3}, "softmax", "recipe 'pgd' has no setting 'step_count'. Did you mean 'step"),
        ("pgd", {"steps": 3.5}, "softmax", "recipe 'pgd': steps = 3.5 must be a whole number."),
        ("pgd", {"steps": True}, "softmax", "recipe 'pgd': steps = True must be a whole number."),
        ("trades", {"beta": "6"}, "softmax", "recipe 'trades': beta = '6' must be a number."),
        ("smia", {"through": 1}, "softmax", "recipe 'smia': through = 1 must be true or false."),
        ("artefacts", {"names": "noise"}, "softmax", "recipe 'artefacts': names = 'noise' must be a list of texts."),
        ("artefacts", {"names": [1]}, "softmax", "must be a list of texts."),
        ("artefacts", {}, "softmax", "name the artefacts, such as settings"),
        ("segpgd", {}, "softmax", "recipe 'segpgd' trains multilabel, segmentation, detection, not classification."),
        ("fast", {"boxes": "alternating"}, "masks", "recipe 'fast': boxes = \"alternating\" is for detectors."),
        ("transfer", {}, "softmax", "attack 'transfer' cannot train a model: its images are made for another model"),
        ("hopskipjump", {}, "softmax", "attack 'hopskipjump' cannot train a model: it walks along the boundary"),
        ("asma", {}, "masks", "attack 'asma' needs a goal"),
        ("dice-pgd", {}, "softmax", "attack 'dice-pgd' attacks segmentation, not classification"),
        ("square", {"query": 8}, "softmax", "attack 'square' has no parameter 'query'. Did you mean 'queries'?"),
        ("square", {"clean_share": "a"}, "softmax", "recipe 'square': clean_share = 'a' must be a number."),
        ("square", {"clean_share": 2.0}, "softmax", "clean_share: 2 must be at least 0 and at most 1"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(scenes, name, settings, scene, said):
    with pytest.raises(PlanError if "clean_share: 2" not in said else InputError) as error:
        make(name, settings, scenes[scene].task, Linf(EPS))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_attack_that_cannot_use_the_threat_is_refused(scenes):
    with pytest.raises(PlanError, match="attack 'ddn' searches l2 balls, not l1"):
        make("ddn", {}, scenes["softmax"].task, L1(EPS))
    with pytest.raises(PlanError, match="attack 'smia-reference' leaves the ball that confines a change"):
        make("smia-reference", {}, scenes["softmax"].task, Confined(EPS, lattice=True))
    assert make("ddn", {}, scenes["softmax"].task).name == "ddn"


def test_whole_numbers_are_numbers_and_lists_are_tuples(scenes):
    assert make("trades", {"beta": 3}, scenes["softmax"].task).beta == 3
    made = make("artefacts", {"names": ["noise", "jpeg"], "spacing": [1, 0.5]}, scenes["softmax"].task)
    assert (made.names, made.spacing) == (("noise", "jpeg"), (1, 0.5))


def test_artefacts_are_those_of_the_modality_that_the_images_can_have(scenes):
    task = scenes["softmax"].task
    grey = make("artefacts", {}, task, images=ImageFacts("ct", axes=2, channels=1)).names
    known = make("artefacts", {}, task, images=ImageFacts("ct", "HU", (1.0, 1.0), 2, 1)).names
    assert "noise" in grey
    assert set(grey) < set(known)
    colour = make("artefacts", {}, task, images=ImageFacts("fundus", axes=2, channels=3)).names
    assert set(colour) != set(known)
    assert make("artefacts", {}, task, images=ImageFacts("ct", "HU", (1.0, 1.0), 2, 1)).unit == "HU"


CATALOGUE = [
    (name, scene)
    for name in catalog.attacks()
    if name not in ("transfer", "hopskipjump", "asma", "smia-reference", "strongest") and name not in RECIPES
    for scene in ("softmax", "findings", "masks", "volumes", "boxes")
]


@pytest.mark.parametrize(("name", "scene"), CATALOGUE)
def test_any_attack_of_the_catalogue_trains_any_task_that_it_attacks(scenes, name, scene):
    here, entry = scenes[scene], catalog.find(name)
    if kind_of(here.task) not in entry.tasks:
        return
    threat = Linf(EPS) if "linf" in entry.norms else Confined(5 * EPS, "l2")
    known = catalog.parameters(entry)
    made = make(name, {key: value for key, value in SHORT.items() if key in known}, here.task, threat)
    situation = here.situation(threat)
    state = {key: value.clone() for key, value in here.module.state_dict().items()}
    crafted = made.craft(here.batch(), situation)
    assert all(torch.equal(value, state[key]) for key, value in here.module.state_dict().items())
    assert crafted.images.min() >= BOUNDS[0]
    assert crafted.images.max() <= BOUNDS[1]
    if name != "vafa":
        inside = threat.around(here.images, BOUNDS).size(crafted.images) <= threat.eps * (1 + 1e-6)
        assert inside.all()
    changed = (crafted.images != here.images).flatten(1).any(1)
    # An image without annotated structure has no Dice loss to climb; a few random images may all do less than none.
    assert changed.sum() >= (len(changed) - (scene == "masks") if entry.gradient else 1)
    with situation.victim, torch.no_grad():
        before, after = (
            here.task.loss(situation.victim.judge(images), here.targets).mean()
            for images in (here.images, crafted.images)
        )
    # Some climb another measure than the loss, from which they may lead away a little.
    assert after > before or name in ("dice-pgd", "vafa", "apgd-margin", "steadfast", "cospgd", "dag")
    assert torch.isfinite(made.loss(here.batch(), crafted, situation))
    here.module.load_state_dict(state)


def test_a_mixture_of_one_is_that_one(scenes):
    one = make("fast", {}, scenes["softmax"].task)
    assert mixture([(one, 3.0)]) is one
    assert mixture([(one, 1.0), (make("pgd", {}, scenes["softmax"].task), 1.0)]).name == "fast 50 % + pgd 50 %"
    with pytest.raises(InputError, match="mixture: a mixture needs at least two recipes"):
        mixture([])


@pytest.mark.parametrize("scene", list(SCENES))
def test_defaults_fit_the_task_and_the_judge_has_another_attack_and_loss(scenes, scene):
    here = scenes[scene]
    kind = kind_of(here.task)
    assert default_recipe(here.task) == {"segmentation": "segpgd", "detection": "pgd"}.get(kind, "fast")
    assert default_fallback(here.task) == ("segpgd" if kind == "segmentation" else "pgd")
    for name in (default_recipe(here.task), default_fallback(here.task)):
        recipe = make(name, {}, here.task)
        judge = default_judge(here.task, recipe)
        attack = catalog.make(judge.attack, Linf(EPS), **judge.settings)
        catalog.check_supports(judge.attack, kind, targeted=False)
        assert attack.objective != recipe.attack(here.situation()).objective


def test_what_trains_on_the_margin_is_judged_by_the_loss(scenes):
    for scene, trained, judged in (
        ("softmax", "apgd-margin", "apgd-ce"),
        ("softmax", "pgd", "apgd-margin"),
        ("masks", "dice-pgd", "apgd-ce"),
        ("masks", "apgd-margin", "apgd-ce"),
        ("masks", "pgd", "dice-pgd"),
    ):
        task = scenes[scene].task
        assert default_judge(task, make(trained, {}, task)).attack == judged
    task = scenes["softmax"].task
    both = mixture([(make("apgd-margin", {}, task), 1.0), (make("pgd", {}, task), 1.0)])
    assert default_judge(task, both).attack == "apgd-margin"
