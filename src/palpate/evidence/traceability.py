"""From each finding to its threat in MITRE ATLAS, to what is done about it, and to the command that tests it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from palpate.evidence.csv_tables import sheet
from palpate.evidence.material import Material
from palpate.evidence.words import budget
from palpate.report.model.schema import AttackResults, Results
from palpate.report.model.typed import Figure
from palpate.report.model.words import interval, percent
from palpate.storage.runs import RunFolder

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
        retest: the command that tests it again.
        retest_in: the folder in which the command is given.
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
    retest_in: str
    where: str


def traced(material: Material, folder: Path) -> list[Row]:
    """All findings: gates, attacks at their largest budget, artefacts, and the checks of a training.

    Args:
        material: what the evidence is made from.
        folder: the evidence folder, in which the commands are given if it is in the run folder.
    """
    again = retest(material.run, folder)
    found = [
        *_gates(material, again),
        *_attacks(material, again),
        *_artefacts(material, again),
        *_mitigations(material),
    ]
    return [Row(f"F{number}", *one) for number, one in enumerate(found, 1)]


def traceability(rows: Sequence[Row]) -> bytes:
    """The rows as CSV."""
    return sheet([one.name for one in fields(Row)], [astuple(row) for row in rows])


def retest(run: RunFolder, folder: Path) -> tuple[str, str]:
    """The command that repeats a run from its own copy of the plan, and the folder in which it is given.

    The copy in the evidence folder belongs to no run, so it does not say where images and model are.
    """
    place = run.path.resolve()
    inside = folder.resolve().parent == place
    up = "../" if inside else ""
    command = f"palpate audit {up}plan.toml --out {up}{shlex.quote(f'../{place.name}-retest')}"
    # Without this key the run folder is not below the images and the model, unless it is in runs/, next to the plan.
    if run.describe().get("root") is None and place.parent.name != "runs":
        command += " --root FOLDER_OF_IMAGES_AND_MODEL"
    return command, "this evidence folder" if inside else f"the run folder {place.name}"


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


def _gates(material: Material, again: tuple[str, str]) -> Iterator[tuple[str, ...]]:
    for gate in material.results.gates:
        figure = "is not defined" if gate.value is None else f"is {gate.value:.4g}"
        state = "gate passed" if gate.passed else "gate failed"
        # A gate under an attack is about evasion; that of a clean figure is about no threat.
        evasion = _named([EVADE]) if " eps " in gate.text else ("", "")
        where, control = "report.html", _control(material.results) if evasion[0] else ""
        yield f"Gate “{gate.text}”: the figure {figure}", gate.text, *evasion, state, control, *again, where


def _attacks(material: Material, again: tuple[str, str]) -> Iterator[tuple[str, ...]]:
    results = material.results
    for attack in results.attacks:
        if not attack.points:
            continue
        point = attack.points[-1]
        rate, control = _figure(point.success_rate), _control(results)
        said = f"succeeds on {rate} of the images that it can beat"
        if point.success_rate.value == 0:  # nothing to harden against
            said, control = f"no effect found, success rate {rate}", ""
        said = f"{attack.name} ({attack.goal}): {said}, with changes of {budget(results, point.eps)}"
        threats = _named(threats_of(attack))
        yield (
            said,
            attack.name,
            *threats,
            _judged(results, attack.name),
            control,
            *again,
            "report.html#attacks",
        )


def _judged(results: Results, name: str) -> str:
    own = [gate for gate in results.gates if f"'{name}'" in gate.text or "any attack" in gate.text]
    if not own:
        return "no gate judges it"
    return "gate passed" if all(gate.passed for gate in own) else "gate failed"


def _artefacts(material: Material, again: tuple[str, str]) -> Iterator[tuple[str, ...]]:
    summary, accuracy = material.results.artefacts, material.results.clean.accuracy
    for one in () if summary is None else summary.items:
        if one.worst is None:
            continue
        # The same share has one interval everywhere: that of the clean figure, if the same images count.
        alike = (one.clean_acceptable.value, one.images) == (accuracy.value, accuracy.total)
        clean = accuracy if alike else one.clean_acceptable
        said = (
            f"With the worst {one.name} that was found up to severity {one.searched:g}, "
            f"{_figure(one.worst.acceptable)} of the results are acceptable ({_figure(clean)} without)"
        )
        control = "acquisition protocol and check of image quality; training with the artefact: `palpate harden`"
        if one.worst.acceptable.value == one.clean_acceptable.value:
            said, control = f"{said}: no effect found", ""
        state = _judged(material.results, one.name)
        yield said, one.name, *_named([PHYSICAL, EVADE]), state, control, *again, "report.html#artefacts"


def _mitigations(material: Material) -> Iterator[tuple[str, ...]]:
    for pair in material.pairs:
        for check in () if pair.hardening is None else pair.hardening.checks:
            again = ("palpate compare BEFORE AFTER --hardened", "any folder; BEFORE and AFTER are the run folders")
            control = f"{HARDENING} ({THREATS[HARDENING]})"
            where = "comparison/compare.html"
            yield check.sentence, check.name, *_named([EVADE]), check.state, control, *again, where


def _figure(figure: Figure) -> str:
    """A share with its interval."""
    return f"{percent(figure.value)} ({interval(figure)})" if figure.value is not None else "an undefined share"
