"""The trace of an attack: closed forms on a linear model, divergences by hand, and that it changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from scipy.special import log_softmax, rel_entr, softmax

from palpate import catalog
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Own, Stabilised
from palpate.attacks.robust import robust
from palpate.checks import victims
from palpate.checks.scenarios import SCENARIO_KINDS, SCENARIOS
from palpate.errors import InputError
from palpate.stability import trace, trace_rows
from palpate.stability.trace import COLUMNS
from palpate.storage.traces import FIELD_NAMES
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.ball import BALLS, Linf
from palpate.units import Scale
from palpate.victim import Victim

EPS, TASK = 4.0, Classification(4)
GRADIENT = [
    name
    for name, entry in catalog.attacks().items()
    if isinstance(catalog.make(name, BALLS[entry.norms[0]](EPS)), Ascent)
]
STABILISED = Stabilised(0.5, "step", "label")


def make(name, steps=4):
    entry = catalog.find(name)
    return catalog.make(name, Linf(EPS), **({entry.steps_parameter: steps} if entry.steps_parameter else {}))


def small(count=6):
    """A network in float64 with images it gets right, but for the one in row 2."""
    victim = Victim(victims.small_net().double(), (0, 255))
    images = victims.images(count, seed=4).double()
    with victim:
        labels = victim.judge(images).argmax(1)
    labels[2] = (labels[2] + 1) % 4
    return victim, images, labels


def ascent(objective=STABILISED, steps=5, **settings):
    return Ascent(Linf(EPS), steps, objective, step=recipes.fixed(None, steps), random_start=False, **settings)


def linear(offset=600.0, scale=1e-2):
    weights = torch.linspace(-1, 1, 192, dtype=torch.float64).view(3, 8, 8)
    images = victims.level_images(3)
    return Victim(victims.Linear(weights, offset, scale), (0, 255)), images, torch.zeros(3, dtype=torch.int64)


class Seen:
    """Delivered images and outputs of every step, copied."""

    def __init__(self):
        self.images, self.outputs = [], []

    def watch(self, event):
        self.images.append(event.images.clone())
        self.outputs.append(event.outputs.clone())


def looked_at(attack, victim, images, labels):
    """x_t and f(x_t) as numpy, (T + 1, B, ...), of the eligible rows."""
    seen = Seen()
    replace(attack, run_to_end=True)(victim, TASK, images, labels, watcher=seen)
    return torch.stack(seen.images).numpy(), torch.stack(seen.outputs).numpy()


def kl(p, q):
    return rel_entr(softmax(p, -1), softmax(q, -1)).sum(-1)


def test_on_a_linear_model_bim_goes_straight_to_the_corner():
    victim, images, labels = linear()
    found = trace(recipes.bim(Linf(EPS), steps=5, step=0.25), victim, Classification(2), images, labels)
    weights = victim.module.weights.detach().numpy()
    share = np.minimum(0.25 * np.arange(6), 1)
    with victim:
        clean = Classification(2).margin(victim.judge(images), labels).numpy()
    margin = clean[:, None] - EPS * share * 1e-2 * np.abs(weights).sum()
    assert np.allclose(found.linf, EPS * share)
    assert np.allclose(found.l2, EPS * share * np.sqrt(192))
    assert np.allclose(found.plane_x, EPS * share * np.sqrt(192))
    assert np.array_equal(found.plane_y, np.zeros((1, 3, 6)))
    assert np.allclose(found.plane_share, 1)
    assert np.allclose(found.margin[0], margin)
    assert np.allclose(found.loss[0], np.log1p(np.exp(-margin)))
    assert np.allclose(found.value[0, :, :-1], found.loss[0, :, :-1]) and found.value[..., -1].isnan().all()
    # The ball is reached after four steps; the fifth moves nothing.
    assert np.allclose(found.cos_step[0, :, 2:5], 1) and found.cos_step[..., [0, 1, 5]].isnan().all()
    assert np.allclose(found.cos_final[0, :, 1:], 1) and found.cos_final[..., 0].isnan().all()
    logits = np.stack([margin, -margin], -1) / 2
    assert np.allclose(found.kl_final[0], kl(logits, logits[:, -1:]))
    assert np.allclose(found.kl_clean[0], kl(logits[:, :1], logits))
    sign = -np.sign(weights)
    assert np.allclose(found.last[0], EPS * np.broadcast_to(sign, images.shape))


@pytest.mark.parametrize("name", ["bim", "apgd-ce", "ni", "di", "smia"])
def test_divergences_are_those_of_scipy_between_the_very_outputs(name):
    victim, images, labels = small()
    attack = make(name)
    found = trace(attack, victim, TASK, images, labels)
    rows = found.eligible
    seen, outputs = looked_at(attack, victim, images, labels)
    with victim:
        clean = victim.judge(images[rows]).numpy()
    outputs = np.swapaxes(outputs, 0, 1)
    assert np.allclose(found.kl_final[0, rows], kl(outputs, outputs[:, -1:]), rtol=1e-6, atol=1e-15)
    assert np.allclose(found.kl_clean[0, rows], kl(clean[:, None], outputs), rtol=1e-6, atol=1e-15)
    assert np.array_equal(found.last[0, rows], seen[-1] - images[rows].numpy())


def test_a_small_divergence_is_not_lost_in_the_rounding_of_the_search():
    victim, images, labels = small()
    victim.module.float()
    attack = recipes.bim(Linf(0.02), steps=3)
    found = trace(attack, victim, TASK, images.float(), labels)
    _, outputs = looked_at(attack, victim, images.float(), labels)
    wanted = np.swapaxes(kl(*np.broadcast_arrays(outputs.astype(float), outputs[-1:].astype(float))), 0, 1)
    assert 0 < wanted[:, 1].max() < 1e-6
    assert np.allclose(found.kl_final[0, found.eligible], wanted, rtol=1e-3, atol=1e-16)


def smooth(values, size, sigma):
    weights = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    for axis in (-2, -1):
        values = correlate1d(values, weights / weights.sum(), axis=axis, mode="nearest")
    return values


OBJECTIVES = {
    "bim": (recipes.bim(Linf(EPS)).objective, lambda x, before, clean: before + smooth(x - before, 3, 1)),
    "step": (STABILISED, lambda x, before, clean: before + smooth(x - before, 3, 1)),
    "own": (Own(Stabilised(0.3, size=5)), lambda x, before, clean: before + smooth(x - before, 5, 1)),
    "perturbation": (
        Stabilised(2.0, "perturbation", "distribution", size=5, sigma=0.7),
        lambda x, before, clean: clean + smooth(x - clean, 5, 0.7),
    ),
    "through": (
        Stabilised(1.5, "image", "distribution", through=True, sigma=2.0),
        lambda x, before, clean: smooth(x, 3, 2),
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_smoothed_divergence_and_penalty_are_those_of_the_attacks_own_smoothing(name):
    objective, smoothing = OBJECTIVES[name]
    victim, images, labels = small()
    attack = ascent(objective)
    found = trace(attack, victim, TASK, images, labels, smoothed=True)
    rows = found.eligible
    seen, outputs = looked_at(attack, victim, images, labels)
    before = np.concatenate([seen[:1], seen[:-1]])
    smoothed = smoothing(seen, before, images[rows].numpy())
    with victim:
        reference = np.stack([victim.judge(torch.tensor(one)).numpy() for one in smoothed])
    wanted = kl(outputs, reference).T
    assert wanted[:, 1:].min() > 1e-9
    assert np.allclose(found.kl_smoothed[0, rows], wanted, rtol=1e-5, atol=1e-13)
    penalty = found.penalty[0, rows].numpy()
    assert np.isnan(penalty[:, -1]).all()
    if name == "bim":
        assert np.isnan(penalty).all()
        return
    inner = objective.objective if isinstance(objective, Own) else objective
    if inner.agreement == "label":
        apart = -np.take_along_axis(log_softmax(outputs, -1), reference.argmax(-1)[..., None], -1)[..., 0]
    else:
        apart = kl(reference, outputs)
    assert np.allclose(penalty[:, :-1], inner.weight * apart.T[:, :-1], rtol=1e-5, atol=1e-10)


def test_a_penalty_that_cannot_be_separated_from_the_loss_is_not_given():
    victim, images, labels = small()
    scale = Scale((0.0, 255.0), known=True)
    elsewhere = ascent(directions=recipes.ni(Linf(EPS)).directions)
    for attack in (elsewhere, robust(ascent(), ("blur1",), scale)):
        found = trace(attack, victim, TASK, images, labels)
        assert found.penalty.isnan().all()
        assert not found.kl_final[:, found.eligible].isnan().any()
    # So steep that cross-entropy is zero: the margin is climbed instead.
    victim, images, labels = linear(scale=1e6)
    found = trace(ascent(), victim, Classification(2), images, labels)
    assert found.penalty.isnan().all()
    assert np.allclose(found.value[..., :-1], -found.margin[..., :-1])


CROSSED = [
    (name, place)
    for name in GRADIENT
    for place, (kind, targeted) in SCENARIO_KINDS.items()
    if kind in catalog.find(name).tasks and (targeted or not catalog.find(name).targeted_only)
]


@pytest.mark.parametrize(("name", "place"), CROSSED)
def test_a_trace_changes_nothing_and_adds_no_pass(name, place):
    scenario = SCENARIOS[place]()
    attack = make(name)
    spent = scenario.victim.forwards
    alone = replace(attack, run_to_end=True)(
        scenario.victim, scenario.task, scenario.images, scenario.targets, generator=torch.Generator().manual_seed(5)
    )
    spent, before = scenario.victim.forwards - spent, scenario.victim.forwards
    clean = scenario.images.clone()
    found = trace(
        attack,
        scenario.victim,
        scenario.task,
        scenario.images,
        scenario.targets,
        generator=torch.Generator().manual_seed(5),
    )
    (result,) = found.results
    assert scenario.victim.forwards - before == spent
    assert torch.equal(result.images, alone.images) and torch.equal(result.margin, alone.margin)
    assert torch.equal(result.forwards, alone.forwards) and torch.equal(scenario.images, clean)
    assert found.draws == catalog.find(name).random
    eligible = found.eligible
    assert torch.equal(eligible, alone.eligible) and eligible.any() and not eligible.all()
    for column in COLUMNS:
        assert getattr(found, column)[:, ~eligible].isnan().all()
    assert not found.kl_final[:, eligible].isnan().any()
    assert found.kl_final[:, eligible, -1].max() < 1e-12
    assert found.kl_final[:, eligible].max() > 1e-9
    if not attack.random_start:
        assert found.kl_clean[:, eligible, 0].max() < 1e-12
    # What the attack returns is one of the images whose margins are in the trace: the smallest, where it looks at none
    # but the image as it is.
    seen = torch.cat([found.margin[0, eligible], alone.clean_margin[eligible, None]], 1)
    returned = alone.margin[eligible]
    assert torch.isclose(seen, returned[:, None]).any(1).all()
    assert attack.robust_to or torch.allclose(seen.amin(1), returned)


@pytest.mark.parametrize("name", [name for name in GRADIENT if "classification" in catalog.find(name).tasks])
def test_on_classes_a_trace_changes_nothing_and_a_smoothed_one_adds_its_stated_passes(name):
    victim, images, labels = small()
    attack = make(name)
    alone = replace(attack, run_to_end=True)(victim, TASK, images, labels)
    before = victim.forwards
    found = trace(attack, victim, TASK, images, labels, smoothed=True)
    looks = int(found.eligible.sum()) * (attack.steps + 1)
    assert victim.forwards - before == int(alone.forwards.sum()) + looks
    assert torch.equal(found.results[0].images, alone.images)
    assert found.results[0].forwards.sum() == alone.forwards.sum() + looks
    assert not found.kl_smoothed[:, found.eligible].isnan().any()


def test_starts_are_those_of_the_attack_and_independent_ones():
    victim, images, labels = small()
    attack = recipes.pgd(Linf(EPS), steps=3, restarts=4)
    alone = replace(attack, run_to_end=True, restarts=1)(
        victim, TASK, images, labels, generator=torch.Generator().manual_seed(9)
    )
    found, again = (
        trace(attack, victim, TASK, images, labels, generator=torch.Generator().manual_seed(9), starts=3)
        for _ in range(2)
    )
    assert torch.equal(found.results[0].images, alone.images)
    assert found.draws and len(found.results) == 3
    assert torch.equal(found.last.nan_to_num(), again.last.nan_to_num())
    starts = found.last[:, found.eligible]
    assert all(not torch.equal(starts[one], starts[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_an_attack_that_draws_nothing_is_run_once():
    victim, images, labels = small()
    before = victim.forwards
    one = trace(recipes.bim(Linf(EPS), 3), victim, TASK, images, labels)
    spent, before = victim.forwards - before, victim.forwards
    found = trace(recipes.bim(Linf(EPS), 3), victim, TASK, images, labels, starts=3)
    assert victim.forwards - before == spent
    assert not found.draws and found.last.shape == (3, *images.shape) and len(found.results) == 3
    for column in COLUMNS:
        assert torch.equal(getattr(found, column).nan_to_num(-9), getattr(one, column).nan_to_num(-9).repeat(3, 1, 1))


def test_batches_do_not_matter():
    victim, images, labels = small()
    attack, seeds = recipes.pgd(Linf(EPS), steps=3), range(6)
    whole = trace(attack, victim, TASK, images, labels, generator=Streams(seeds), starts=2, smoothed=True)
    parts = [
        trace(attack, victim, TASK, images[rows], labels[rows], generator=Streams(seeds[rows]), starts=2, smoothed=True)
        for rows in (slice(0, 2), slice(2, 6))
    ]
    for name in (*COLUMNS, "plane_share", "last"):
        together = torch.cat([getattr(part, name) for part in parts], 1)
        assert torch.allclose(getattr(whole, name), together, equal_nan=True, rtol=1e-6, atol=1e-9), name


def test_of_handled_images_the_plain_ones_outputs_are_traced():
    victim, images, labels = small()
    attack = robust(recipes.bim(Linf(EPS), 3), ("blur1", "jpeg75"), Scale((0.0, 255.0), step=1.0, known=True))
    found = trace(attack, victim, TASK, images, labels)
    seen, outputs = looked_at(attack, victim, images, labels)
    with victim:
        plain = torch.stack([victim.judge(torch.tensor(one)) for one in seen])
    assert np.allclose(plain, outputs)
    assert np.allclose(found.kl_final[0, found.eligible].T, kl(plain.numpy(), plain[-1:].numpy()), atol=1e-14)


def test_where_no_image_is_eligible_everything_is_nan_and_there_are_no_rows():
    victim, images, labels = small()
    found = trace(recipes.pgd(Linf(EPS), 2), victim, TASK, images, (labels + 1) % 4, starts=2)
    keep = ~found.eligible
    assert keep.sum() >= 5
    found = trace(recipes.pgd(Linf(EPS), 2), victim, TASK, images[keep], ((labels + 1) % 4)[keep], starts=2)
    assert not found.eligible.any() and not found.draws
    assert all(getattr(found, column).isnan().all() for column in (*COLUMNS, "last", "plane_share"))
    assert rows_of(found) == []


def rows_of(found):
    count = len(found.eligible)
    names = [f"{row}.png" for row in range(count)]
    return trace_rows(
        found,
        images=names,
        rows=range(10, 10 + count),
        groups=[f"p{row}" for row in range(count)],
        attack="mine",
        item="abc",
        goal="any",
        eps=EPS,
    )


def test_rows_are_the_columns_by_image_start_and_step():
    victim, images, labels = small()
    found = trace(recipes.pgd(Linf(EPS), 3), victim, TASK, images, labels, starts=2, smoothed=True)
    rows = rows_of(found)
    assert len(rows) == int(found.eligible.sum()) * 2 * 4
    assert {"2.png"}.isdisjoint(row.image for row in rows)
    for row in rows:
        sample = row.row - 10
        assert (row.image, row.group, row.steps, row.eps) == (f"{sample}.png", f"p{sample}", 3, EPS)
        for name in set(FIELD_NAMES) & set(COLUMNS):
            wanted = float(getattr(found, name)[row.start, sample, row.step])
            assert getattr(row, name) == pytest.approx(wanted, nan_ok=True, rel=0, abs=0)
    assert len({(row.row, row.start, row.step) for row in rows}) == len(rows)
    assert set(COLUMNS) < set(FIELD_NAMES)


@pytest.mark.parametrize("name", sorted(set(catalog.attacks()) - set(GRADIENT)))
def test_an_attack_that_is_no_ascent_is_refused_with_what_to_use(name):
    victim, images, labels = small()
    with pytest.raises(InputError, match=r"is not a gradient ascent, .* Use a gradient attack such as pgd"):
        trace(catalog.make(name, BALLS[catalog.find(name).norms[0]](EPS)), victim, TASK, images, labels)


def test_no_start_is_refused():
    victim, images, labels = small()
    with pytest.raises(InputError, match="starts: 0 must be at least 1"):
        trace(recipes.pgd(Linf(EPS)), victim, TASK, images, labels, starts=0)
