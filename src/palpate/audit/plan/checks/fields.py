"""Contradictions between the fields of a plan, each with its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from palpate import catalog
from palpate.audit.plan.checks.artefacts import artefact_gate, artefact_problems
from palpate.audit.plan.checks.certificates import certificate_problems, certified_gate
from palpate.audit.plan.checks.data import data_problems
from palpate.audit.plan.checks.model import input_problems, model_problems, surrogate_problems, text_problems
from palpate.audit.plan.checks.run import run_problems
from palpate.audit.plan.checks.threat import threat_problems
from palpate.audit.plan.defences import defence_problems
from palpate.audit.plan.items import item
from palpate.audit.plan.places import belongs
from palpate.audit.plan.problems import Problem, split
from palpate.audit.plan.sections.gates import ANY, CERTIFIED, CLEAN
from palpate.audit.plan.sections.tasks import ClassificationSection, DetectionSection, SegmentationSection
from palpate.audit.plan.tasks import task_of
from palpate.audit.plan.toml_lines import Key
from palpate.errors import InputError, nearest
from palpate.postprocessing import PostProcessing, parse
from palpate.postprocessing.grids import Blurred, Resampled
from palpate.units import radius

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields
    from palpate.audit.plan.sections.attacks import AttackSection
    from palpate.audit.plan.sections.gates import GateSection
    from palpate.audit.plan.sections.tasks import TaskSection

_DIRECTED = ("missed_disease", "invented_disease", "sensitivity", "specificity")
_SHARES = (*_DIRECTED, *CERTIFIED[:1], "clean_accuracy", "robust_accuracy", "success_rate")
_WHOLE = ("square", "strongest")
"""Attacks on a service that in linf change each value by the whole budget."""
_SCORED = ("clean_score", "score")
_LISTS = {"multilabel": "findings", "segmentation": "structures"} | dict.fromkeys(
    ("binary", "multiclass", "ordinal", "detection"), "classes"
)


def problems(plan: PlanFields) -> list[Problem]:
    """All contradictions of a plan; later checks are left out if they could only repeat an earlier one."""
    model, task = list(model_problems(plan.model)), list(_task(plan.task))
    found = [*model, *data_problems(plan.data, plan.task), *task]
    for name in ("boxes", "first_class", "objectness"):
        if getattr(plan.model, name) is not None and not isinstance(plan.task, DetectionSection):
            text = f'only a detector has boxes, and task.kind is "{plan.task.kind}". Remove it.'
            found.append((("model", name), text))
    found += surrogate_problems(plan)
    threat = [] if any(key[1:2] == ("bounds",) for key, _ in model) else list(threat_problems(plan))
    found += threat
    if not found:
        found += [
            *input_problems(plan),
            *text_problems(plan),
            *defence_problems(plan),
            *_attacks(plan),
            *artefact_problems(plan),
            *_main(plan),
            *_gates(plan),
            *_survival(plan),
            *_pictures(plan),
        ]
    if not found:
        found += certificate_problems(plan)
    return [*found, *run_problems(plan.run)]


def _task(section: TaskSection) -> Iterator[Problem]:
    listed, names = _LISTS[section.kind], section.names
    for name in dict.fromkeys(names):
        if names.count(name) > 1 or not name.strip():
            yield ("task", listed), f"'{name}' is listed {names.count(name)} times; give each one a name."
    if isinstance(section, ClassificationSection):
        yield from _classification(section)
    elif isinstance(section, SegmentationSection) and section.structure not in (None, *names):
        hint = nearest(str(section.structure), names)
        yield ("task", "structure"), f"'{section.structure}' is not one of the structures. {hint}"
        return
    try:
        task_of(section, "untargeted")
    except InputError as error:
        field, text = split(error, ("head", "threshold", "thresholds", "classes", "structures", "exclusive"))
        yield ("task", *field), text


def _classification(section: ClassificationSection) -> Iterator[Problem]:
    classes = section.classes
    if section.kind == "binary" and len(classes) != 2:
        yield ("task", "classes"), f"a binary task has 2 classes, and there are {len(classes)}. Use multiclass."
    for name in section.disease:
        if name not in classes:
            yield ("task", "disease"), f"'{name}' is not one of the classes. {nearest(name, classes)}"
    if section.disease and set(section.disease) >= set(classes):
        yield ("task", "disease"), "it names every class, so no class is healthy. Leave the healthy ones out."
    if section.head == "cumulative" and section.kind != "ordinal":
        yield ("task", "head"), f'a cumulative head decides grades, and kind is "{section.kind}". Use kind = "ordinal".'
    if section.threshold is not None and section.head != "one-logit":
        yield ("task", "threshold"), f'a {section.head} head has no threshold. Remove it, or use head = "one-logit".'


def _attacks(plan: PlanFields) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    same: dict[str, str] = {}
    for place, section in enumerate(plan.attacks):
        key = ("attacks", place)
        try:
            made = item(plan, section)
        except InputError as error:
            yield _attack_problem(key, section, error, type(plan))
            continue
        if section.title in (ANY, CLEAN):
            yield (*key, "name"), f"'{section.title}' has a special meaning in gates. Choose another name."
        elif section.title in seen:
            yield (*key, "name"), f"two attacks are called '{section.title}'. Give one of them another name = ..."
        elif (twin := same.get(made.identity)) is not None:
            yield key, f"'{section.title}' is the same attack as '{twin}'. Remove one, or change a parameter."
        seen[section.title] = place
        same.setdefault(made.identity, section.title)


def _attack_problem(key: Key, section: AttackSection, error: InputError, plan: type[PlanFields]) -> Problem:
    text = str(error)
    if section.attack not in catalog.attacks():
        return (*key, "attack"), text
    for field in ("goal", "robust_to", "curve", "query_budget"):
        if text.startswith(f"{field}: "):
            return (*key, field), text.removeprefix(f"{field}: ")
    known = catalog.parameters(catalog.find(section.attack))
    for name in section.parameters:
        if name not in known:
            return (*key, name), f"attack '{section.attack}' has no parameter '{name}'. {_hint(key, name, known, plan)}"
    for name in section.parameters:
        if text.startswith(f"{name}: ") or f": {name} = " in text:
            return (*key, name), text.removeprefix(f"{name}: ")
    return (*key, "attack"), text


def _hint(key: Key, name: str, known: Iterable[str], plan: type[PlanFields]) -> str:
    """What to do about a parameter that an attack lacks; one that other attacks have belongs to no other section."""
    elsewhere = any(name in catalog.parameters(entry) for entry in catalog.attacks().values())
    if not elsewhere and (place := belongs((*key, name), plan)):
        return place
    close = nearest(name, [*known, "name", "goal"])
    if not close.startswith("Known are"):
        return close
    return f"It has {', '.join(sorted(known)) or 'none'}."


def _survival(plan: PlanFields) -> Iterator[Problem]:
    seen: dict[PostProcessing, str] = {}
    for place, name in enumerate(plan.survival.after):
        key = ("survival", "after", place)
        try:
            step = parse(name, plan.scale)
        except InputError as error:
            yield key, str(error)
            continue
        if step in seen:
            yield key, f"'{name}' does the same as '{seen[step]}', which is listed already. Keep one of them."
        seen.setdefault(step, name)


def _pictures(plan: PlanFields) -> Iterator[Problem]:
    """What would hand values between stored numbers to a service that takes pictures."""
    send = plan.model.endpoint.send if plan.model.endpoint else "npy"
    if send == "npy":
        return
    between, other = f"values between stored numbers, which {send} cannot hold.", 'write model.endpoint.send = "npy".'
    after = plan.survival.after
    unfit = [place for place, name in enumerate(after) if _unrounded(name, plan)]
    if unfit and "after" not in plan.survival.model_fields_set:
        names = " and ".join(f"'{after[place]}'" for place in unfit)
        rest = ", ".join(f'"{name}"' for place, name in enumerate(after) if place not in unfit)
        text = f"the default has {names}, which give {between} Write after = [{rest}] in [survival], or {other}"
        yield ("survival", "after"), text
    else:
        for place in unfit:
            yield ("survival", "after", place), f"'{after[place]}' gives {between} Leave it out, or {other}"
    if asking := [f"'{section.title}'" for section in plan.attacks if _tries_between(section, plan)]:
        text = f"{' and '.join(asking)} would try {between} Write lattice = true in [threat], or {other}"
        yield ("threat", "lattice"), text


def _unrounded(name: str, plan: PlanFields) -> bool:
    try:
        return isinstance(parse(name, plan.scale), (Blurred, Resampled))
    except InputError:  # said elsewhere
        return False


def _tries_between(section: AttackSection, plan: PlanFields) -> bool:
    """Whether an attack on a service tries values that are not whole; those that need gradients ask it nothing."""
    threat = plan.threat
    if threat.lattice or section.attack not in catalog.attacks():
        return False
    if section.attack in _WHOLE and threat.norm == "linf" and not threat.smooth and not set(threat.channels) - {0, 1}:
        # Preprocessing may make whole numbers of such a budget.
        return not plan.model.preprocess.model_fields_set and any(abs(eps - round(eps)) > 1e-3 for eps in plan.radii)
    return section.attack in _WHOLE or not catalog.find(section.attack).gradient


def _main(plan: PlanFields) -> Iterator[Problem]:
    if (wrong := wrong_budget(plan, plan.threat.main)) is not None:
        yield ("threat", "main"), wrong


def _gates(plan: PlanFields) -> Iterator[Problem]:
    made = {section.title: section for section in plan.attacks}
    for place, gate in enumerate(plan.gates):
        for field, text in _gate(plan, gate, made):
            yield ("gates", place, field), text


def _gate(plan: PlanFields, gate: GateSection, attacks: dict[str, AttackSection]) -> Iterator[tuple[str, str]]:
    yield from _limit(gate)
    if gate.metric in _DIRECTED and not plan.task.disease_indices:
        yield "metric", f"{gate.metric} needs the classes that count as disease. Add task.disease."
    if gate.metric in _SCORED and isinstance(plan.task, ClassificationSection):
        yield "metric", f"{gate.metric} is for masks, boxes and findings. Use clean_accuracy or robust_accuracy."
    if gate.metric == "kappa" and plan.task.kind != "ordinal":
        yield "metric", 'kappa weighs the distance between grades. It needs task.kind = "ordinal".'
    if gate.metric in CERTIFIED:
        yield from certified_gate(plan, gate)
        return
    if gate.radius is not None or gate.sigma is not None:
        field = "sigma" if gate.radius is None else "radius"
        yield field, 'it is for certified figures, such as metric = "certified_accuracy". Remove it.'
    if gate.artefact is not None:
        yield from artefact_gate(plan, gate)
        return
    if gate.worst or gate.severity is not None:
        yield "severity" if gate.severity is not None else "worst", "it is for gates on an artefact. Add artefact."
    if gate.metric in ("clean_accuracy", "clean_score") or gate.attack == CLEAN:
        if gate.metric in ("robust_accuracy", "success_rate", "score"):
            yield "attack", f"{gate.metric} needs an attack. Name one, or any."
        if gate.eps is not None:
            yield "eps", "a clean figure has no budget. Remove it."
        return
    yield from _attacked_gate(plan, gate, attacks)


def _limit(gate: GateSection) -> Iterator[tuple[str, str]]:
    if (gate.at_least is None) == (gate.at_most is None):
        yield ("metric" if gate.at_least is None else "at_most"), "a gate needs either at_least or at_most."
    for field in ("at_least", "at_most"):
        limit = getattr(gate, field)
        if limit is not None and gate.metric in _SHARES and not 0 <= limit <= 1:
            percent = f" Write {limit / 100:g} for {limit:g} %." if 1 < limit <= 100 else ""
            yield field, f"{gate.metric} is a share from 0 to 1, and {limit:g} is not.{percent}"


def _attacked_gate(plan: PlanFields, gate: GateSection, attacks: dict[str, AttackSection]) -> Iterator[tuple[str, str]]:
    if gate.eps is None:
        yield "metric", "the budget is missing. Add eps = and one of the budgets of threat.eps."
    elif (wrong := wrong_budget(plan, gate.eps)) is not None:
        yield "eps", wrong
    if gate.attack not in (ANY, *attacks):
        yield "attack", f"there is no attack '{gate.attack}'. {nearest(gate.attack, [ANY, CLEAN, *attacks])}"
        return
    goals = {section.goal for section in attacks.values()} if gate.attack == ANY else {attacks[gate.attack].goal}
    if gate.metric == "robust_accuracy" and "untargeted" not in goals:
        yield "attack", "robust accuracy is defined for untargeted attacks. Name one, or gate the success_rate."
    if gate.metric == "success_rate" and len(goals) > 1:
        yield "attack", "the attacks have several goals, so they have no common success rate. Name one attack."


def wrong_budget(plan: PlanFields, written: float | str | None) -> str | None:
    """What is wrong with a budget that must be one of `threat.eps`; None if it is right, or not given.

    The size of a stored step is not known before the images are read. Until then such budgets are accepted.
    """
    if written is None:
        return None
    try:
        eps = radius(written, plan.scale)
    except ValueError as error:
        return f"{error}."
    listed = ", ".join(map(str, plan.threat.eps))
    if eps in plan.radii or (not plan.scale.known and "stored" in f"{written} {listed}"):
        return None
    return f"{written} is not one of the budgets of threat.eps. Known are: {listed}."
