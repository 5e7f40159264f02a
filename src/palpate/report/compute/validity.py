"""How far the figures of a run can be trusted: every health check on its records, and two judgements per goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from palpate.metrics import survival
from palpate.metrics.findings import HealthFinding, grade
from palpate.metrics.panel import Bools
from palpate.metrics.validity import health, strength
from palpate.metrics.validity.indicators import advised
from palpate.report.compute.quality import judge_goal, kinds_of
from palpate.report.compute.reading import UNTARGETED, RunReading
from palpate.report.model.description import failed_attacks
from palpate.report.model.schema import WorstCase
from palpate.report.model.schema_quality import Check, Validity


def judge(reading: RunReading, worst: Sequence[WorstCase] = (), broken: Sequence[Bools] = ()) -> Validity:
    """Run all checks, and judge the figures of each goal.

    Args:
        reading: the run.
        worst: the figures of each goal.
        broken: of each artefact, whether the model returned NaN or infinity for an image with it.
    """
    noticed = [HealthFinding(one.level, one.subject, one.text) for one in reading.description.findings]
    findings = [*_damage(reading), *_whole_run(reading, broken), *_strength(reading), *noticed]
    verdict = grade(findings, reading.description.status == "finished")
    return Validity(
        grade=verdict.letter,
        reason=verdict.reason,
        goals=[judge_goal(reading, one, findings) for one in worst],
        checks=[Check(level=one.level, subject=one.name, text=one.text) for one in findings],
    )


def _damage(reading: RunReading) -> list[HealthFinding]:
    if reading.description.intact:
        return []
    text = (
        "run.json does not hold what palpate wrote: it was damaged, or edited by hand. Run `palpate audit` with the "
        "same plan again: it writes the file again and repeats no attack."
    )
    return [HealthFinding("failure", "run.json", text)]


def _whole_run(reading: RunReading, broken: Sequence[Bools]) -> list[HealthFinding]:
    panel, description = reading.panel, reading.description
    return [
        health.attacks_ran(
            {attack.name: attack.eps for attack in description.attacks}, panel, failed_attacks(description)
        ),
        health.clean_baseline(panel.images),
        health.sample_size(panel, reading.resampling.clustered),
        health.steady_model(panel),
        health.gradients(panel.outcomes),
        health.finite_outputs(panel.outcomes, broken),
        health.budgets_kept(panel.outcomes),
        survival.saved_success(
            panel.outcomes,
            [one.name for one in description.handlings],
            description.data.unit,
            lattice=description.threat.lattice,
        ),
    ]


def _strength(reading: RunReading) -> list[HealthFinding]:
    images, description = reading.panel.images, reading.description
    kinds = kinds_of(reading)
    # An attack that leaves its budget cannot be ordered with those that keep to it.
    kept = [one for one in reading.panel.of(UNTARGETED) if not health.leaves_budget(one)]
    staged = {attack.name for attack in description.attacks if attack.searches}
    there = any(one.attack in staged for one in kept)
    found = [
        strength.strong_enough(kept, kinds, staged),
        strength.noise_baseline(kept, kinds, images.group),
        strength.iterations_help(kept, kinds, images.group),
        strength.growth(images, kept),
        strength.reaches_all(images, reading.panel.of(UNTARGETED), description.data.extent, description.data.unit),
    ]
    return [replace(one, text=advised(one.text, there)) for one in found]
