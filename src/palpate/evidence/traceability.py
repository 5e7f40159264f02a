"""From each finding to its threat in MITRE ATLAS, to what is done about it, and to the command that tests it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields

from palpate.evidence.csv_tables import sheet
from palpate.evidence.material import Material
from palpate.evidence.words import budget
from palpate.report.model.schema import AttackResults, Results
from palpate.report.model.typed import Figure
from palpate.report.model.words import interval, percent

EVADE = "AML.T0015"
WHITE, BLACK, TRANSFER = "AML.T0043.000", "AML.T0043.001", "AML.T0043.002"
PHYSICAL = "AML.T0041"
HARDENING = "AML.M0003"
THREATS = {
    EVADE: "Evade AI Model",
    WHITE: "Craft Adversarial Data: White-Box Optimization",
    BLACK: "Craft Adversarial Data: Black-Box Optimization",
    TRANSFER: "Craft Adversarial Data: Black-Box Transfer",
    PHYSICAL: "Physical Environment Access",
    HARDENING: "Model Hardening",
}
"""Identifiers of MITRE ATLAS v5.6.1, as read in November 2026."""
_RETEST = "palpate audit plan.toml --out ../retest"


@dataclass(frozen=True)
class Row:
    """One finding.

    Attributes:
        number: F1, F2 ...
        finding: what was found, with its figure and interval.
        subject: the attack, artefact or gate.
        threat: identifiers of MITRE ATLAS.
        threat_name: their names.
        state: `gate passed`, `gate failed`, or that no gate judges it.
        control: what the audited model has against it, and what else is known to help.
        retest: the command, from the run folder, that tests it again.
        where: the part of `report.html` with all figures.
    """

    number: str
    finding: str
    subject: str
    threat: str
    threat_name: str
    state: str
    control: str
    retest: str
    where: str


def traced(material: Material) -> list[Row]:
    """All findings: gates, attacks at their largest budget, artefacts, and the checks of a training."""
    found = [*_gates(material), *_attacks(material), *_artefacts(material), *_mitigations(material)]
    return [Row(f"F{number}", *one) for number, one in enumerate(found, 1)]


def traceability(rows: Sequence[Row]) -> bytes:
    """The rows as CSV."""
    return sheet([one.name for one in fields(Row)], [astuple(row) for row in rows])


def threats_of(attack: AttackResults) -> tuple[str, ...]:
    """What MITRE ATLAS calls an attack of the catalogue."""
    if attack.catalog == "transfer":
        return EVADE, TRANSFER
    if attack.catalog == "noise":  # random, so it optimises nothing
        return (EVADE,)
    return (EVADE, BLACK) if attack.kind == "gradient-free" else (EVADE, WHITE)


def _named(threats: Sequence[str]) -> tuple[str, str]:
    return "; ".join(threats), "; ".join(THREATS[one] for one in threats)


def _control(results: Results) -> str:
    inside = "; ".join(results.model.defences) or "none in the audited model"
    return f"{inside}. {HARDENING} ({THREATS[HARDENING]}) can be tried with `palpate harden`"


def _gates(material: Material) -> Iterator[tuple[str, ...]]:
    for gate in material.results.gates:
        figure = "is not defined" if gate.value is None else f"is {gate.value:.4g}"
        state = "gate passed" if gate.passed else "gate failed"
        # A gate under an attack is about evasion; that of a clean figure is about no threat.
        evasion = _named([EVADE]) if " eps " in gate.text else ("", "")
        where, control = "report.html", _control(material.results) if evasion[0] else ""
        yield f"Gate “{gate.text}”: the figure {figure}", gate.text, *evasion, state, control, _RETEST, where


def _attacks(material: Material) -> Iterator[tuple[str, ...]]:
    results = material.results
    for attack in results.attacks:
        if not attack.points:
            continue
        point = attack.points[-1]
        said = (
            f"{attack.name} ({attack.goal}) succeeds on {_figure(point.success_rate)} of the images that it can beat, "
            f"with changes of {budget(results, point.eps)}"
        )
        threats = _named(threats_of(attack))
        yield (
            said,
            attack.name,
            *threats,
            _judged(results, attack.name),
            _control(results),
            _RETEST,
            "report.html#attacks",
        )


def _judged(results: Results, name: str) -> str:
    own = [gate for gate in results.gates if f"'{name}'" in gate.text or "any attack" in gate.text]
    if not own:
        return "no gate judges it"
    return "gate passed" if all(gate.passed for gate in own) else "gate failed"


def _artefacts(material: Material) -> Iterator[tuple[str, ...]]:
    summary = material.results.artefacts
    for one in () if summary is None else summary.items:
        if one.worst is None:
            continue
        said = (
            f"With the worst {one.name} that was found up to severity {one.searched:g}, "
            f"{_figure(one.worst.acceptable)} of the results are acceptable ({_figure(one.clean_acceptable)} without)"
        )
        control = "acquisition protocol and check of image quality; training with the artefact: `palpate harden`"
        state = _judged(material.results, one.name)
        yield said, one.name, *_named([PHYSICAL, EVADE]), state, control, _RETEST, "report.html#artefacts"


def _mitigations(material: Material) -> Iterator[tuple[str, ...]]:
    for pair in material.pairs:
        for check in () if pair.hardening is None else pair.hardening.checks:
            retest = "palpate compare BEFORE AFTER --hardened"
            control = f"{HARDENING} ({THREATS[HARDENING]})"
            where = "comparison/compare.html"
            yield check.sentence, check.name, *_named([EVADE]), check.state, control, retest, where


def _figure(figure: Figure) -> str:
    """A share with its interval."""
    return f"{percent(figure.value)} ({interval(figure)})" if figure.value is not None else "an undefined share"
