"""Every attack of the catalog against every contract: a new catalog row is tested without a new test."""

from dataclasses import replace
from functools import cache

import pytest

from palpate import catalog
from palpate.attacks.cascade.stages import Cascade
from palpate.checks import ATTACK_CONTRACTS, ATTACK_TASK_CONTRACTS, ContractError, Subject, check_attack_on_tasks
from palpate.checks.attack_tasks import Trial, mask_oracle
from palpate.checks.scenarios import SCENARIO_KINDS, SCENARIOS

FEW = {"alma-prox": {"steps": 80}, "square": {"queries": 200}}
"""Settings that are enough for the contracts: attacks without a gradient, or that run to their end, take long."""
CONVERGES = {"beats_noise", "last_iterate_is_scored", "linear_oracle", "saturation_is_seen", "success_is_rescoring"}
"""The contracts that need an attack that has come to its end; the others hold at every step."""
STEPS = 4
QUERIES = 40


def made(name, threat, stage_steps=STEPS, **settings):
    """The attack; of one with many stages each with few steps, since here only what it promises is checked."""
    attack = catalog.make(name, threat, **settings)
    if not isinstance(attack, Cascade):
        return attack
    few = [
        replace(stage.attack, **({"steps": stage_steps} if hasattr(stage.attack, "steps") else {"queries": 20}))
        for stage in attack.stages
    ]
    stages = tuple(replace(stage, attack=one) for stage, one in zip(attack.stages, few, strict=True))
    return replace(attack, stages=(*stages[:3], *stages[-7:]))


def settings(entry, converges):
    """How long an attack of the catalog searches here."""
    if converges or not entry.steps_parameter:
        return FEW.get(entry.name, {"steps": 30} if entry.minimum else {})
    return {entry.steps_parameter: QUERIES if entry.steps_parameter == "queries" else 2 * STEPS}


def subject(entry, converges=True):
    few = settings(entry, converges)
    return Subject(
        make=lambda threat: made(entry.name, threat, stage_steps=12 if converges else STEPS, **few),
        norms=entry.norms,
        gradient=entry.gradient,
        random=entry.random,
        projected=entry.projected,
        own_threat=entry.own_threat,
    )


@pytest.mark.parametrize("contract", ATTACK_CONTRACTS)
@pytest.mark.parametrize("name", catalog.attacks())
def test_attack_keeps_contract(name, contract):
    ATTACK_CONTRACTS[contract](subject(catalog.find(name), contract in CONVERGES))


CROSSED = [
    (name, place)
    for name, entry in catalog.attacks().items()
    for place, (kind, targeted) in SCENARIO_KINDS.items()
    if kind in entry.tasks and (targeted or not entry.targeted_only)
]


@cache
def trial(name, place):
    """The attack with few steps; a trial runs it once for all contracts."""
    entry = catalog.find(name)
    few = {entry.steps_parameter: STEPS} if entry.steps_parameter else {}
    return Trial(replace(subject(entry), make=lambda threat: made(name, threat, **few)), SCENARIOS[place]())


@pytest.mark.parametrize("contract", ATTACK_TASK_CONTRACTS)
@pytest.mark.parametrize(("name", "place"), CROSSED)
def test_attack_on_a_task_keeps_contract(name, place, contract):
    ATTACK_TASK_CONTRACTS[contract](trial(name, place))


@pytest.mark.parametrize("name", [name for name, entry in catalog.attacks().items() if "segmentation" in entry.tasks])
def test_attack_reaches_the_closed_form_radius_of_a_mask(name):
    entry = catalog.find(name)
    # Towards a goal, SMIA's agreement pulls fallen pixels back: tests/attacks/test_smia_dense.py.
    mask_oracle(subject(entry), untargeted=not entry.targeted_only, targeted=name != "smia")


@pytest.mark.parametrize("place", SCENARIOS)
def test_scenarios_are_what_they_are_said_to_be(place):
    scenario = SCENARIOS[place]()
    assert SCENARIO_KINDS[place] == (scenario.kind, scenario.targeted)


def test_every_kind_of_task_has_a_scenario():
    assert {kind for kind, _ in SCENARIO_KINDS.values()} == set(catalog.DENSE)


@pytest.mark.parametrize("place", SCENARIOS)
def test_in_every_scenario_some_samples_fall_and_some_stand(place):
    result, _ = trial("bim", place).whole
    assert 0 < int(result.success.sum()) < int(result.eligible.sum()) < len(result)


def test_a_foreign_attack_is_checked_on_the_tasks_that_it_names():
    check_attack_on_tasks(lambda threat: catalog.make("bim", threat, steps=2), catalog.DENSE)
    with pytest.raises(ContractError, match="budget and box, masks in 2D"):
        check_attack_on_tasks(lambda threat: catalog.make("smia-reference", threat), ("segmentation",))
