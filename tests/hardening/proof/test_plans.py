import tomllib

import pytest

from palpate.hardening.proof.plans import proof_plan
from palpate.hardening.weights import SavedModel
from tests.hardening import tiny

ARTEFACT = (
    '\n[[artefacts]]\nartefact = "noise"\nany_modality = true\n\n[[gates]]\nmetric = "clean_accuracy"\nat_least = 0.5\n'
)


def test_a_full_proof_adds_budgets_and_stronger_attacks_to_everything_of_the_plan(tmp_path):
    plan = tiny.write(tmp_path, tiny.HARDEN + ARTEFACT)
    made = proof_plan(plan, 8.0, "full")
    assert [section.attack for section in made.attacks] == ["pgd", "strongest", "square"]
    assert made.radii == (4.0, 8.0, 16.0, 32.0) and made.threat.main == 8.0
    assert [section.artefact for section in made.artefacts] == ["noise"]
    assert made.gates == ()
    assert made.harden is None
    assert made.data == plan.data
    assert "before training" in made.title


def test_a_short_proof_has_two_attacks_two_budgets_and_few_images(tmp_path):
    made = proof_plan(tiny.write(tmp_path, tiny.HARDEN + ARTEFACT), 8.0, "short")
    assert [section.attack for section in made.attacks] == ["apgd-margin", "square"]
    assert [section.parameters for section in made.attacks] == [{"steps": 20}, {"queries": 100}]
    assert made.radii == (8.0, 32.0) and made.threat.main == 8.0
    assert made.artefacts == ()
    assert made.data.limit == 24


def test_both_plans_of_a_proof_differ_only_in_the_model(tmp_path):
    plan = tiny.write(tmp_path)
    saved = SavedModel(tmp_path / "hardened" / "plan" / "weights.safetensors", "weights")
    before, after = proof_plan(plan, 8.0, "full"), proof_plan(plan, 8.0, "full", saved)
    one, other = (tomllib.loads(made.text) for made in (before, after))
    assert other["model"].pop("weights") == "hardened/plan/weights.safetensors"
    assert one["model"].pop("weights") == "weights.safetensors"
    one.pop("title"), other.pop("title")
    assert one == other


def test_budgets_wider_than_the_images_range_are_left_out(tmp_path):
    made = proof_plan(tiny.write(tmp_path), 100.0, "full")
    assert made.radii == (4.0, 8.0, 100.0, 200.0)


@pytest.mark.parametrize("present", ["strongest", "square"])
def test_an_attack_that_the_plan_has_is_not_added_twice(tmp_path, present):
    text = tiny.PLAN.replace('attack = "pgd"\nsteps = 3', f'attack = "{present}"')
    made = proof_plan(tiny.write(tmp_path, plan=text), 8.0, "full")
    assert sorted(section.attack for section in made.attacks) == ["square", "strongest"]


@pytest.mark.parametrize(("extent", "most"), [("full", 30), ("short", 24)])
def test_a_limit_of_the_proof_holds_for_both_audits(tmp_path, extent, most):
    plan = tiny.write(tmp_path, tiny.HARDEN.replace("[harden]", "[harden]\nproof_limit = 30"))
    assert plan.data.limit is None
    assert proof_plan(plan, 8.0, extent).data.limit == most
