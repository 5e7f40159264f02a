"""Sentences of the test report and of the texts to copy: what was tested, what was not, and what may change it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from palpate.evidence.material import Material
from palpate.report.model.schema import Results, WorstCase
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording
from palpate.report.model.words import duration, interval, percent
from palpate.report.page.views import threat_words

BLANK = "[to be filled in by a person]"
_NORMS = {
    "linf": "the largest change of a value (L-inf)",
    "l2": "the Euclidean length of all changes (L2)",
    "l1": "the sum of all changes (L1)",
}


def figure(one: Figure | None) -> str:
    """A share with its interval and its images: `25.0 % (95% interval 12 to 44 %; 6 of 24)`."""
    if one is None or one.value is None:
        return "not defined" if one is None or one.note is None else f"not defined: {one.note}"
    counted = f"; {one.count} of {one.total}" if one.count is not None and one.total is not None else ""
    return f"{percent(one.value)} (95% interval {interval(one)}{counted})"


def facts(results: Results) -> list[tuple[str, str]]:
    """What was tested."""
    task, data, named = results.task, results.data, Wording(results.task)
    per_class = ", ".join(f"{name} {count}" for name, count in zip(task.classes, data.per_class, strict=True))
    patients = f" of {data.groups} patients or groups" if data.groups < data.images else ""
    return [
        ("Model", f"{results.model.source}, {results.model.parameters:,} parameters"),
        ("Weights, SHA-256", results.model.sha256),
        ("Preprocessing", results.model.preprocess),
        ("Defences in the model", "; ".join(results.model.defences) or "none"),
        ("Task", f"{named.kind}; a result is acceptable if it is {named.acceptable}"),
        ("Images", f"{data.images}{patients}; {per_class}"),
        ("Images and labels, fingerprint", data.fingerprint),
        ("Formats", ", ".join(data.formats) or "not known"),
        ("Sites", ", ".join(data.sites) or "not known"),
        ("Scanners", ", ".join(data.scanners) or "not known"),
        ("Threat", threat_words(results)),
        ("Budgets", "; ".join(budget(results, eps) for eps in results.threat.eps)),
    ]


def times(results: Results) -> list[tuple[str, str]]:
    """When it was tested, and how long it took."""
    spent = sum(attack.seconds or 0.0 for attack in results.attacks)
    spent += sum(one.seconds or 0.0 for one in results.artefacts.items) if results.artefacts else 0.0
    return [
        ("Started", results.created),
        ("Finished", results.finished or "not yet"),
        ("From start to end", _between(results.created, results.finished)),
        ("Computing, attacks and artefacts", duration(spent)),
    ]


def budget(results: Results, eps: float) -> str:
    """A budget as in the report's first sentence: `at most 1 in each stored value`, `at most 20 HU in each value`."""
    unit, written = results.data.unit, results.data.written(eps)
    if results.threat.norm == "linf":
        return f"at most {written} in each {'' if unit else 'stored '}value"
    length = {"l2": "Euclidean length", "l1": "absolute sum"}[results.threat.norm]
    return f"{length} at most {written}{'' if unit else ' in stored values'}"


def _between(start: str, end: str | None) -> str:
    try:
        return "not finished" if end is None else duration((_time(end) - _time(start)).total_seconds())
    except ValueError:  # texts of a damaged file
        return "not known"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def worst_name(results: Results, worst: WorstCase) -> str:
    """Which figure the worst case of a goal is: what is left, or how often the goal is reached."""
    if worst.goal == "untargeted":
        return f"{Wording(results.task).robust}, all attacks together"
    return f"Success rate of the goal “{worst.goal}”, all attacks together"


def worst_rows(results: Results, worst: WorstCase) -> list[tuple[str, str]]:
    """Budget in the clinic's unit, and figure."""
    return [(budget(results, point.eps), figure(point.figure)) for point in worst.points]


def not_tested(material: Material) -> list[str]:
    """What this test does not show, from what the run holds."""
    results = material.results
    said = [f"The attack {name} could not run on this model." for name in material.failed]
    if not material.finished:
        said.append("The audit is not finished: figures are provisional.")
    said += [
        f"Changes above the largest budget ({budget(results, results.threat.eps[-1])}), and changes that are limited "
        f"otherwise than by {_NORMS[results.threat.norm]}.",
        "Attacks that were not tried may be stronger: robust figures are upper bounds.",
        "Images of other sites, scanners, protocols or patients than those listed.",
        "Poisoning of training data, attacks on confidentiality (extraction, inversion, membership), and attacks on "
        "the software and the network around the model.",
        "Clinical performance and safety: this is a test of the model alone.",
    ]
    if results.artefacts is None:
        said.append("Artefacts of acquisition, such as motion, metal or blur.")
    if results.certificates is None:
        said.append("Certified bounds: no figure here is a proof.")
    if not results.survival.handlings:
        said.append("Whether adversarial images survive saving, compression and resampling.")
    if not any("transfer" in one.catalog for one in results.attacks):
        said.append("Attacks that are made on another model and transferred.")
    return said


def circumstances(results: Results) -> list[str]:
    """Known and foreseeable circumstances that may change the tested level."""
    said = [f"Deliberate changes of {budget(results, eps)}: {_of_worst(results, eps)}." for eps in results.threat.eps]
    said += _clinical(results)
    if results.artefacts is not None and results.artefacts.sentence:
        said.append(results.artefacts.sentence)
    for group in results.subgroups:
        for row in group.rows:
            if not row.small:
                said.append(
                    f"{group.by.capitalize()} {row.name or 'not known'}: {figure(row.clean)} without an attack."
                )
    return said


def _clinical(results: Results) -> list[str]:
    """Missed and invented disease, without an attack and at each budget; nothing where the task has neither."""
    if results.clean.directions is None:
        return []
    found = [("Without any change", results.clean.directions)]
    found += [
        (f"Deliberate changes of {budget(results, at.eps)}, all attacks and goals together", at.directions)
        for at in results.worst_directions
    ]
    said = []
    for when, one in found:
        named = (("missed disease", one.missed_disease), ("invented disease", one.invented_disease))
        if counted := [f"{name}: {figure(share)}" for name, share in named if share.total]:
            said.append(f"{when}: {'; '.join(counted)}.")
    return said


def _of_worst(results: Results, eps: float) -> str:
    for worst in results.worst_case:
        for point in worst.points:
            if worst.goal == "untargeted" and point.eps == eps:
                return f"{Wording(results.task).acceptable} under all attacks together: {figure(point.figure)}"
    return "no untargeted attack was tried"


def methods(results: Results) -> list[str]:
    """How it was tested."""
    intervals = results.intervals
    said = [
        f"palpate {results.palpate}, seed {results.seed}. The run folder holds the plan, the records of every image, "
        "attack and budget, and the versions of all packages. There, `palpate audit plan.toml --out ../NEW` "
        "repeats the test.",
        f"Intervals hold 95% and resample {intervals.groups} "
        f"{'patients or groups' if intervals.clustered else 'images'}.",
    ]
    for goal in results.validity.goals:
        said.append(f"Quality of the attacks, {goal.goal}: {goal.quality}. Precision: {goal.precision}.")
    return said


def or_blank(text: str) -> str:
    """The text, or a mark that a person has to write it."""
    return text or BLANK


def joined(parts: Sequence[str], without: str) -> str:
    """Names in one text, or what to say without any."""
    return ", ".join(parts) or without
