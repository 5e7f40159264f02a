"""L1-APGD's steps, compared with its formulas, and its phases: a wider ball is searched, and never counted."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.sparse.phases import PhasedStepRule, Widenable
from palpate.attacks.sparse.steps import Sparse, SparseState
from palpate.attacks.steps import Halving
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tensors import lengths
from palpate.threats.ball import L1, L2, Linf
from palpate.threats.confined import Confined
from palpate.victim import Victim

ONE_BALL = ((1.0, 1.0),)
PUBLISHED = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))


def space(radius=2.0, count=1):
    return L1(radius).around(torch.full((count, 1, 2, 5), 0.5, dtype=torch.float64), (0.0, 1.0))


def state(rule, images, **fields):
    return rule.init(images)._replace(**{name: torch.tensor([value]).double() for name, value in fields.items()})


def advance(rule, images, gradient, before, step=1, value=0.0, steps=100, around=None):
    return rule.advance(images, gradient, torch.tensor([value]).double(), before, around or space(), step, steps)


def test_a_step_goes_along_the_signs_of_the_steepest_free_values():
    images, rule = torch.full((1, 1, 2, 5), 0.5).double(), Sparse(phases=ONE_BALL)
    images[0, 0, 0, 0] = 1.0
    gradient = torch.tensor([[9.0, -5.0, 4.0, 3.0, 0.0], [0.5, 0.1, -0.2, 0.3, 2.0]]).reshape(1, 1, 2, 5).double()
    moved, _ = advance(rule, images, gradient, state(rule, images, moving=3.0, size=0.25, best_value=9.0))
    # Three of ten values share a quarter of the radius of 2; the steepest of all is at its end of the box.
    expected = torch.zeros(10).double()
    expected[[1, 2, 3]] = torch.tensor([-1.0, 1.0, 1.0]).double() / 6
    assert torch.allclose((moved - images).flatten(), expected)


def test_zeros_among_the_steepest_take_no_part_of_the_step():
    images, rule = torch.full((1, 1, 2, 5), 0.5).double(), Sparse(phases=ONE_BALL)
    gradient = torch.zeros_like(images)
    gradient[0, 0, 1, 1] = -3.0
    moved, _ = advance(rule, images, gradient, state(rule, images, moving=10.0, size=0.1, best_value=9.0))
    assert float((moved - images)[0, 0, 1, 1]) == pytest.approx(-0.2)
    assert int((moved != images).sum()) == 1


@pytest.mark.parametrize(
    ("changed_before", "size", "resumes"),
    [(4.0, 1.0, True), (3.0, 0.4 / 1.5, False)],
)
def test_a_check_restarts_from_a_sparser_best_and_shortens_the_step_otherwise(changed_before, size, resumes):
    rule, around = Sparse(phases=ONE_BALL, period=0.1, thinning=1.5), space()
    best = around.clean.clone()
    best[0, 0, 0, :3] += 0.1
    here = around.clean - 0.1
    before = state(rule, around.clean, size=0.4, moving=1.0, changed=changed_before, best_value=9.0)
    before = before._replace(best_images=best, best_gradient=-torch.ones_like(best))
    moved, after = advance(rule, here, torch.ones_like(here), before, step=10)
    assert after.size.tolist() == pytest.approx([size])
    assert after.moving.tolist() == [2]
    assert after.changed.tolist() == [3]
    came_from = best if resumes else here
    assert int((moved != came_from).sum()) == 2
    assert bool(((moved - came_from).sum() < 0) == resumes)


def test_a_step_is_never_shorter_than_the_least():
    rule, around = Sparse(phases=ONE_BALL, period=0.1), space()
    _, after = advance(
        rule, around.clean, torch.ones_like(around.clean), state(rule, around.clean, size=rule.least, changed=0.0), 10
    )
    assert after.size.tolist() == pytest.approx([rule.least])


def test_between_checks_nothing_but_the_best_changes():
    rule, around = Sparse(phases=ONE_BALL, period=0.1), space()
    before = state(rule, around.clean, size=0.4, moving=2.0, changed=5.0, best_value=1.0)
    _, after = advance(rule, around.clean + 0.1, torch.ones_like(around.clean), before, step=9, value=2.0)
    assert (after.size, after.moving, after.changed) == (before.size, before.moving, before.changed)
    assert torch.equal(after.best_images, around.clean + 0.1) and after.best_value.tolist() == [2.0]


def test_the_last_step_of_a_phase_hands_on_its_best_image():
    rule, around = Sparse(phases=((2.0, 0.5), (1.0, 0.5))), space()
    best = around.clean + 0.05
    before = state(rule, around.clean, best_value=9.0)._replace(best_images=best)
    moved, _ = advance(rule, around.clean, torch.ones_like(best), before, step=4, steps=10)
    assert torch.equal(moved, best)
    _, after = advance(rule, best, torch.ones_like(best), before, step=5, steps=10, value=-1.0)
    assert after.best_value.tolist() == [-1.0], "a phase starts its own search for the best"
    assert after.size.tolist() == [rule.size]
    assert after.moving.tolist() == [7]


@pytest.mark.parametrize(("steps", "wide"), [(1, [0, 0, 1]), (3, [0, 0, 3]), (10, [3, 3, 4]), (100, [30, 30, 40])])
def test_phases_have_their_shares_of_the_steps_and_end_in_the_ball(steps, wide):
    radii = [Sparse(phases=PUBLISHED).radii(step, steps) for step in range(steps)]
    assert [radii.count(radius) for radius in (3.0, 2.0, 1.0)] == wide
    assert radii == sorted(radii, reverse=True)


def test_the_default_ends_in_the_ball_after_wider_and_wider_ones_before():
    radii = [Sparse().radii(step, 100) for step in range(100)]
    assert radii == sorted(radii, reverse=True) and radii[0] > 3 and radii[-1] == 1
    assert Sparse().radii(0, 1) == 1, "a single step is taken in the ball itself"


def test_a_random_start_is_sparse_and_fills_the_wide_ball():
    around = L1(6.0).around(torch.full((3, 1, 28, 28), 0.5), (0.0, 1.0))
    dense = around.sample(Streams([1, 2, 3]))
    start = Sparse().enter(dense, around.widened(3.0), 0)
    assert lengths(start - around.clean, "l1").tolist() == pytest.approx([18.0] * 3, rel=1e-3)
    assert float((dense != around.clean).double().mean()) > 0.9
    assert float((start != around.clean).double().mean()) < 0.15
    assert torch.equal(Sparse().enter(around.clean, around, 0), around.clean)


class Recorder:
    def __init__(self):
        self.sizes = []

    def watch(self, event):
        self.sizes.append(float(lengths(event.images - event.clean, "l1").max()))


def small():
    victim, images = Victim(victims.small_net(), (0, 255)), victims.images(8, seed=4)
    with victim:
        return victim, images, victim.judge(images).argmax(1)


@pytest.mark.parametrize("threat", [L1(60.0), Confined(60.0, "l1", lattice=True, tied=True)])
def test_wide_balls_are_searched_but_only_images_of_the_ball_count(threat):
    victim, images, labels = small()
    images, limits = images.round(), Limits(step=torch.ones(len(images)))
    with victim:
        labels = victim.judge(images).argmax(1)
    seen = Recorder()
    attack = Ascent(threat, 10, step=Sparse(phases=PUBLISHED), run_to_end=True)
    result = attack(victim, Classification(4), images, labels, limits=limits, watcher=seen)
    for first, radii in ((0, 3), (3, 2), (6, 1)):
        most = max(seen.sizes[first : first + (3 if first < 6 else 5)])
        assert 60 * (radii - 0.6) < most <= 60 * radii * (1 + 1e-5)
    assert (result.distance <= 60 * (1 + 1e-5)).all()
    assert ((result.first_success == -1) | (result.first_success >= 6)).all()
    with victim:
        assert torch.allclose(Classification(4).margin(victim.judge(result.images), labels), result.margin, atol=1e-4)


class Ring(nn.Module):
    """Only beyond the ball does anything win; inside, the margin rises towards its surface."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2)."""
        margin = 70.0 - (images - 100).flatten(1).abs().sum(1, keepdim=True)
        return torch.cat([margin, -margin], dim=1)


@pytest.mark.parametrize("phases", [PUBLISHED, ((1.0, 0.2), (3.0, 0.4), (1.0, 0.4))])
def test_what_only_a_wider_ball_holds_is_no_success(phases):
    images = torch.full((2, 1, 4, 4), 100.0)
    attack = Ascent(L1(60.0), 10, step=Sparse(phases=phases))
    result = attack(Victim(Ring(), (0, 255)), Classification(2), images, torch.zeros(2, dtype=torch.int64))
    assert not result.success.any() and (result.margin > 0).all()
    assert result.backwards.tolist() == [10, 10]


def test_samples_that_fall_leave_also_before_a_wider_ball():
    images, weights = torch.full((2, 1, 4, 4), 100.0), torch.tensor([[1.0], [0.001]])

    class Sum(nn.Module):
        def forward(self, seen):
            margin = 20.0 - (seen - 100).flatten(1).sum(1, keepdim=True) * (weights if len(seen) == 2 else weights[1:])
            return torch.cat([margin, -margin], dim=1)

    attack = Ascent(L1(60.0), 10, step=Sparse(phases=((1.0, 0.3), (3.0, 0.3), (1.0, 0.4))), random_start=False)
    result = attack(Victim(Sum(), (0, 255)), Classification(2), images, torch.zeros(2, dtype=torch.int64))
    assert result.success.tolist() == [True, False]
    assert result.backwards.tolist() == [2, 10]


def test_a_neighbourhood_that_cannot_be_widened_is_searched_as_it_is():
    class Narrow:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            if name == "widened":
                raise AttributeError(name)
            return getattr(self._inner, name)

        def take(self, rows):
            return Narrow(self._inner.take(rows))

    @dataclasses.dataclass(frozen=True)
    class Own(L1):
        def around(self, clean, bounds, limits=None):
            return Narrow(super().around(clean, bounds, limits))

    victim, images, labels = small()
    seen = Recorder()
    Ascent(Own(60.0), 10, step=Sparse())(victim, Classification(4), images, labels, watcher=seen)
    assert max(seen.sizes) <= 60 * (1 + 1e-5)
    assert not isinstance(Own(1.0).around(images, (0, 255)), Widenable)


def test_only_in_l1_do_the_recipes_adapt_their_sparsity():
    for make in (recipes.apgd_ce, recipes.apgd_margin):
        assert make(L1(1.0)).step == make(Confined(1.0, "l1", tied=True)).step == Sparse()
        assert make(L2(1.0)).step == make(Linf(1.0)).step == Halving()
    assert isinstance(Sparse(), PhasedStepRule) and not isinstance(Halving(), PhasedStepRule)


def test_wider_balls_are_those_of_the_factor():
    clean = torch.full((2, 3, 4, 4), 100.0)
    limits = Limits(step=torch.ones(2))
    for threat in (L1((5.0, 8.0)), Confined((5.0, 8.0), "l1", lattice=True, tied=True)):
        wide = threat.around(clean, (0, 255), limits).widened(3.0)
        assert wide.radius.tolist() == [15, 24]
        far = wide.to_image(wide.project(clean + 50))
        assert lengths(far - clean, "l1").tolist() == pytest.approx([15, 24])


def test_a_tied_draw_does_not_depend_on_the_batch():
    victim, images, labels = small()
    attack = recipes.apgd_ce(Confined(300.0, "l1", tied=True), steps=12, run_to_end=True)
    whole = attack(victim, Classification(4), images[:4], labels[:4], generator=Streams(range(4)))
    alone = attack(victim, Classification(4), images[3:4], labels[3:4], generator=Streams([3]))
    assert torch.allclose(whole.images[3], alone.images[0], atol=1e-3)


@pytest.mark.parametrize(
    "fields", [{"least": 2.0}, {"least": 0.0}, {"phases": ()}, {"phases": ((1.0, 0.5), (2.0, 0.5))}]
)
def test_bad_numbers_are_refused(fields):
    with pytest.raises(InputError):
        Sparse(**fields)


def test_the_state_travels_with_its_rows():
    assert all(len(part) == 3 for part in Sparse().init(torch.zeros(3, 1, 2, 2)))
    assert SparseState._fields[0] == "size"
