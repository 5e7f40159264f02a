"""Each sign that attacks failed, and each check that does not pass, says which field of the plan to change, and how."""

from __future__ import annotations

import re

import numpy as np
import pytest

from palpate import catalog
from palpate.audit.plan.sections.data import DataSection
from palpate.audit.plan.sections.model import ModelSection
from palpate.audit.plan.sections.quality import QualitySection
from palpate.audit.plan.sections.run import RunSection
from palpate.audit.plan.sections.threat import ThreatSection
from palpate.metrics.validity import health, strength
from palpate.metrics.validity.indicators import FIXES, FIXES_OF_PROBE, INDICATORS, OF_PROBE, STRONGEST, advised
from palpate.metrics.validity.quality import Evidence, ProbeOutcome, attack_quality
from palpate.quality import PROBES
from tests.metrics.handmade import curve, panel, record
from tests.metrics.panels import outcome

SECTIONS = {
    "data": DataSection, "model": ModelSection, "quality": QualitySection, "run": RunSection, "threat": ThreatSection,
}  # fmt: skip
VALUE = re.compile(r'(?:\b(\w+)\.)?\b(\w+) = ("[\w-]+"|[\d.]+)')
FIELD = re.compile(r"\b(data|model|quality|run|threat)\.(\w+)")
INF = float("inf")


def settings(text: str) -> list[tuple[str, str]]:
    """Fields with their values in a text; fails if the plan has no such field, or the attack no such name."""
    found = []
    for section, field, value in VALUE.findall(text):
        if section:
            assert field in SECTIONS[section].model_fields, text
        elif field == "attack":
            assert value.strip('"') in catalog.attacks(), text
        else:
            assert any(field in catalog.parameters(entry) for entry in catalog.attacks().values()), text
        found.append((field, value))
    return found


def says_what_to_change(text: str) -> None:
    """A field with its value, a field of the plan that is to be checked, or the command that continues."""
    for section, field in FIELD.findall(text):
        assert field in SECTIONS[section].model_fields, text
    assert settings(text) or FIELD.search(text) or "`palpate audit`" in text, text


@pytest.mark.parametrize("name", INDICATORS)
def test_each_indicator_names_a_field_of_the_plan(name):
    says_what_to_change(FIXES[name])


@pytest.mark.parametrize("probe", PROBES)
def test_each_probe_that_wins_says_what_to_write(probe):
    success = np.zeros((1, 20), dtype=bool)
    won = 0 if probe == "large radius" else 8
    probes = [ProbeOutcome(probe, "pgd with 120 steps", 8, won)]
    judged = attack_quality(Evidence([outcome("pgd", success)], {"pgd": "iterative"}, probes, survivors=20, eps="8"))
    (sign,) = judged.indicators
    assert sign.name == OF_PROBE[probe] and sign.sign == "fired"
    assert sign.fix == FIXES_OF_PROBE.get(probe, FIXES[sign.name])
    says_what_to_change(sign.fix)
    assert settings(sign.fix), "a probe that wins names a value"


@pytest.mark.parametrize("fix", [*FIXES.values(), *FIXES_OF_PROBE.values()])
def test_no_advice_names_strongest_where_it_is_there(fix):
    text = advised(fix, True)
    assert STRONGEST not in text and advised(fix, False) == fix
    says_what_to_change(text)


def test_where_only_the_search_of_strongest_ran_gradients_are_asked_for():
    made_alone = outcome("strongest", np.zeros((1, 20), dtype=bool))
    kinds, searches = {"strongest": "gradient-free"}, {"strongest": ("square",)}
    judged = attack_quality(
        Evidence([made_alone], kinds, [ProbeOutcome("large radius", "a search", 8, 8)], 20, "8", gradients=False,
                 searches=searches, blocked="No gradient flows.")
    )  # fmt: skip
    texts = " ".join((*judged.reasons, *(one.fix for one in judged.indicators)))
    assert STRONGEST not in texts and "model.onnx_gradients = true" in texts
    found = strength.strong_enough([made_alone], kinds, searches)
    assert found.level == "failure" and STRONGEST not in found.text and "model.factory" in found.text


KINDS = {"noise": "gradient-free", "fgsm": "single-step", "pgd": "iterative"}


def made(**falls):
    backwards = {"noise": 0, "fgsm": 1}
    rows = [one for name, values in falls.items() for one in curve(name, values, backwards=backwards.get(name, 10))]
    return panel(rows)


def ordering(check, kinds=KINDS, **falls):
    outcomes = made(**falls).outcomes
    return check(outcomes, kinds, np.arange(outcomes[0].eligible.size))


def rows(count=12, **fields):
    return panel(record(row, **fields) for row in range(count))


def changed(panel_of_ten):
    panel_of_ten.outcomes[0].clean_predictions[:] = 1
    return panel_of_ten


FINDINGS = {
    "attacks could not run": lambda: health.attacks_ran({"pgd": (1.0,)}, rows(), {"pgd"}),
    "square could not run": lambda: health.attacks_ran({"square": (1.0,)}, rows(), {"square"}),
    "no record": lambda: health.attacks_ran({"pgd": (1.0,)}, type(rows())(rows().images, ())),
    "never ran": lambda: health.attacks_ran({"pgd": (1.0,), "fgsm": (1.0,)}, rows()),
    "ran on a part": lambda: health.attacks_ran({"pgd": (1.0, 2.0)}, rows()),
    "unsteady": lambda: health.steady_model(changed(rows())),
    "no image yet": lambda: health.clean_baseline(panel([]).images),
    "nothing right": lambda: health.clean_baseline(rows(clean_prediction=1).images),
    "one class": lambda: health.clean_baseline(rows().images),
    "as the commonest class": lambda: health.clean_baseline(
        panel(record(row, label=row % 2, clean_prediction=0) for row in range(12)).images
    ),
    "no mask is acceptable": lambda: health.clean_baseline(rows(label=-1, clean_right=False).images),
    "few masks are acceptable": lambda: health.clean_baseline(
        panel(record(row, label=-1, clean_right=row < 3) for row in range(12)).images
    ),
    "blocked": lambda: health.gradients(rows(blocked_gradient=True).outcomes),
    "not finite": lambda: health.finite_outputs(rows(non_finite=True).outcomes),
    "few images": lambda: health.sample_size(rows(3), False),
    "few groups": lambda: health.sample_size(rows(), True),
    "wide interval": lambda: health.sample_size(rows(20), False),
    "noise is stronger": lambda: ordering(strength.noise_baseline, noise=[1.0] * 20, pgd=[INF] * 20),
    "noise is as strong": lambda: ordering(strength.noise_baseline, noise=[1.0, INF], pgd=[1.0, INF]),
    "one step is stronger": lambda: ordering(strength.iterations_help, fgsm=[1.0] * 20, pgd=[INF] * 20),
    "falling success": lambda: strength.growth(made(pgd=[INF, INF]).images, _falling()),
    "flat success": lambda: strength.growth(made(pgd=[1.0, INF]).images, made(pgd=[1.0, INF]).outcomes),
    "half the range": lambda: strength.reaches_all(made(pgd=[INF]).images, made(pgd=[INF]).outcomes, 8.0),
    "few fall": lambda: strength.reaches_all(made(pgd=[INF]).images, made(pgd=[INF]).outcomes, 255.0),
    "only the search of strongest": lambda: strength.strong_enough(made(noise=[INF]).outcomes, KINDS, {"noise"}),
    "no strong attack": lambda: strength.strong_enough(made(noise=[INF]).outcomes, KINDS),
}


def _falling():
    records = [
        record(row, attack="pgd", eps=eps, success=eps == 1.0, linf=eps) for row in range(2) for eps in (1.0, 2.0, 4.0)
    ]
    return panel(records).outcomes


@pytest.mark.parametrize("name", FINDINGS)
def test_each_check_that_does_not_pass_says_what_to_change(name):
    finding = FINDINGS[name]()
    assert finding.level in ("warning", "failure"), finding
    says_what_to_change(finding.text)
