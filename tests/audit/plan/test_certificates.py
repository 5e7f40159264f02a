"""`[certificates]`: what a plan means by it, and sentences for what cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from palpate.audit.plan.certificates import certificate_items, gated_level
from palpate.audit.plan.changes import plan_changes
from palpate.audit.plan.plan import Plan, parse_plan
from palpate.errors import PlanError
from palpate.units import Scale
from tests.audit import tiny, tiny_dense


def plan(section: str, text: str = tiny.PLAN) -> Plan:
    return parse_plan(f"{text}\n[certificates]\n{section}\n", Path("plan.toml"))


def test_a_plan_without_the_section_has_no_certificates() -> None:
    given = parse_plan(tiny.PLAN, Path("plan.toml"))
    assert given.certificates is None and certificate_items(given) == ()


def test_sigma_is_written_as_budgets_are() -> None:
    one, two = certificate_items(plan('sigma = ["10/255", 5]\nradii = ["1%", 8]'))
    assert (one.settings.sigma, two.settings.sigma) == (5, 10)
    assert one.settings.radii == two.settings.radii == (2.55, 8)
    (alone,) = certificate_items(plan('sigma = "10%"'))
    assert alone.settings.sigma == 25.5 and alone.settings.levels(masks=False)[1:3] == (6.375, 12.75)
    assert alone.identity != one.identity != two.identity
    assert (alone.settings.samples, alone.settings.select, alone.settings.alpha) == (1000, 100, 0.001)


def test_units_are_checked_once_the_images_are_known() -> None:
    given = plan('sigma = "12.5 HU"')
    assert certificate_items(given.calibrated(Scale((0, 255), "HU", known=True)))[0].settings.sigma == 12.5
    with pytest.raises(PlanError, match=r"certificates: '12\.5 HU': the images are in mm"):
        given.calibrated(Scale((0, 255), "mm", known=True))


def test_masks_have_the_radius_of_tau_too() -> None:
    (item,) = certificate_items(plan("sigma = 10\nradii = [4]\ntau = 0.75", tiny_dense.text("segmentation")))
    assert item.settings.levels(masks=True) == pytest.approx((0, 4, 6.744898))
    assert item.parts == (("pixel accuracy", ""), ("dice", "square"), ("iou", "square"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("", "certificates.sigma: it is missing, and the model has no smoothing defence"),
        ("sigma = 0", "certificates.sigma: 0 must be above zero"),
        ('sigma = "a lot"', "certificates.sigma: 'a lot' is not a budget"),
        ("sigma = 300", "certificates.sigma: 300 is wider than the whole range 0 to 255"),
        ("sigma = 5\nconfidence = 1.0", "certificates.confidence: 1 must be between 0 and 1"),
        ("sigma = 5\nconfidence = -0.5", "certificates.confidence: -0.5 must be between 0 and 1"),
        ("sigma = 5\nsamples = 9", "certificates.samples: 9 samples can certify nothing at confidence 0.999"),
        ("sigma = 5\nsamples = 20\nradii = [4]", "certificates.radii: 4 cannot be certified with 20 samples"),
        ("sigma = 5\nradii = [0]", "certificates.radii: 0 must be above zero"),
        ("sigma = 5\ntau = 0.4", "certificates.tau: 0.4 must be between 0.5 and 1"),
        ("sigma = 5\nsteps = 0", "certificates.steps: 0 must be at least 1"),
        ("sigma = 5\nsample = 9", "certificates.sample: there is no such field. Did you mean 'samples'"),
        ("sigma = true", "certificates.sigma"),
    ],
)  # fmt: skip
def test_what_cannot_be_certified_is_said_with_its_field(section: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan(section)
    assert said in str(caught.value), caught.value


def test_the_largest_possible_radius_is_named() -> None:
    with pytest.raises(PlanError, match=r"largest possible radius is 2\.737 \(0\.547 times sigma\)"):
        plan("sigma = 5\nsamples = 20\nradii = [4]")


CERTIFIED = 'metric = "certified_accuracy"\nat_least = 0.5\n'


def gated(gate: str, section: str = "sigma = 10\nradii = [4, 8]", text: str = tiny.PLAN) -> Plan:
    return plan(f"{section}\n\n[[gates]]\n{gate}", text)


@pytest.mark.parametrize(
    ("gate", "section", "said"),
    [
        ("", "sigma = 10", "gates[0].radius: it is missing. Add radius = and one of the certified ones: 0, 2.5, 5"),
        ("radius = 5", "sigma = 10\nradii = [4, 8]", "gates[0].radius: 5 is not certified. Known are, in stored "
         "values: 0, 4, 8; more are named in certificates.radii."),
        ("radius = nan", "sigma = 10", "gates[0].radius: nan must be a finite number"),
        ('radius = "far"', "sigma = 10", "gates[0].radius: 'far' is not a budget"),
        ("radius = 4", "sigma = [5, 10]\nradii = [4]", "gates[0].sigma: the certificates have several. Add sigma = and "
         "one of them: 5, 10."),
        ("radius = 4\nsigma = 6", "sigma = [5, 10]\nradii = [4]", "gates[0].sigma: 6 is not certified. Known are"),
        ('radius = 5\nattack = "pgd"', "sigma = 10", "gates[0].attack: a certified figure holds whatever the"),
        ("radius = 5\neps = 4", "sigma = 10", "gates[0].eps: a certified figure holds whatever the change is"),
        ("radius = 5", "sigma = 0", "certificates.sigma: 0 must be above zero"),
    ],
)  # fmt: skip
def test_a_gate_on_what_is_not_certified_is_refused(gate: str, section: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        gated(CERTIFIED + gate, section)
    assert said in str(caught.value) and "\n" not in str(caught.value), caught.value


def test_a_gate_on_certificates_needs_certificates_and_the_task_its_figure() -> None:
    with pytest.raises(
        PlanError, match=r"gates\[0\]\.metric: certified_accuracy needs certificates, and the plan has no"
    ):
        parse_plan(f"{tiny.PLAN}\n[[gates]]\n{CERTIFIED}radius = 4", Path("plan.toml"))
    with pytest.raises(PlanError, match=r"gates\[0\]\.metric: certified_score is for masks and findings"):
        gated(CERTIFIED.replace("accuracy", "score") + "radius = 4")
    with pytest.raises(PlanError, match=r"gates\[0\]\.radius: it is for certified figures"):
        gated('metric = "clean_accuracy"\nat_least = 0.5\nradius = 4')


def test_a_gate_finds_its_radius_however_it_is_written() -> None:
    for written in ('"4/255"', "4.0", '"4 HU"'):
        given = gated(f"{CERTIFIED}radius = {written}")
        assert gated_level(given, given.gates[0]) == (10, 4)
    masks = gated(f"{CERTIFIED}radius = 6.7449", "sigma = 10", tiny_dense.text("segmentation"))
    assert gated_level(masks, masks.gates[0]) == (10, pytest.approx(6.744898, abs=1e-6))


def test_a_gate_in_stored_steps_is_checked_once_the_step_is_known() -> None:
    given = gated(f'{CERTIFIED}radius = "2 stored steps"')
    fine = given.calibrated(Scale((0, 255), step=4.0, known=True))
    assert gated_level(fine, fine.gates[0]) == (10, 8)
    with pytest.raises(PlanError, match=r"gates\[0\]\.radius: 2 stored steps is not certified"):
        given.calibrated(Scale((0, 255), known=True))


def test_boxes_are_refused_with_a_sentence() -> None:
    with pytest.raises(PlanError, match="boxes cannot be certified: votes need a fixed list"):
        plan("sigma = 5", tiny_dense.text("detection"))


DEFENDED = tiny.PLAN.replace("[data]", '[[model.defences]]\ndefence = "smoothing"\nsigma = "10%"\n\n[data]', 1)


def test_a_smoothing_defence_gives_the_default_sigma() -> None:
    assert [item.settings.sigma for item in certificate_items(plan("samples = 500", DEFENDED))] == [25.5]
    assert [item.settings.sigma for item in certificate_items(plan("sigma = 4", DEFENDED))] == [4]
    inner = DEFENDED.replace("[[model.defences]]", '[[model.defences]]\ndefence = "jpeg"\n\n[[model.defences]]', 1)
    with pytest.raises(PlanError, match=r"certificates\.sigma: it is missing"):
        plan("samples = 500", inner)


def test_a_model_that_may_refuse_to_answer_is_refused() -> None:
    rejecting = tiny.PLAN.replace("[data]", '[[model.defences]]\ndefence = "reject"\nthreshold = 0.5\n\n[data]', 1)
    with pytest.raises(PlanError, match="a refusal is no vote"):
        plan("sigma = 4", rejecting)


def test_a_changed_sigma_is_a_change_of_the_plan() -> None:
    old = f"{tiny.PLAN}\n[certificates]\nsigma = 5\n"
    assert plan_changes(old, plan("sigma = 6")) == ["certificates.sigma: 5 -> 6"]
    assert plan_changes(old, plan("sigma = 5")) == []
