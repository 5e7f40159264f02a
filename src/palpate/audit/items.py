"""The attacks of a plan as values: each with its goal, its budgets and the identity that names its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palpate import catalog
from palpate.audit.identity import digest, encode
from palpate.catalog import Entry
from palpate.contracts import Attack
from palpate.errors import PlanError, nearest
from palpate.measures.measure import Nothing, Reader
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Goal, Towards, Untargeted, hide_disease, invent_disease
from palpate.tasks.heads import HEADS, Head, OneLogit
from palpate.threats.ball import BALLS

if TYPE_CHECKING:
    from palpate.audit.plan import AttackSection, Plan, TaskSection

TOWARDS = "towards: "
GOALS = ("untargeted", "hide disease", "invent disease")


@dataclass(frozen=True)
class Item:
    """One attack of a plan, ready to run.

    Attributes:
        name: what records and reports call it; no part of its identity.
        entry: its row of the catalog.
        attack: the attack, at its smallest budget.
        task: what the model's output means, with the attack's goal.
        reader: reads outputs and targets for the records.
        eps: budgets in stored values, rising.
        parameters: all its parameters, those left at their defaults too.
    """

    name: str
    entry: Entry
    attack: Attack
    task: Classification
    reader: Reader
    eps: tuple[float, ...]
    parameters: dict[str, Any]

    @property
    def goal(self) -> str:
        """The goal in words, as records have it."""
        return self.task.goal.words()

    @property
    def identity(self) -> str:
        """Hash of all that decides what the attack does to an image under a given model."""
        return digest({"attack": encode(self.attack), "task": encode(self.task), "eps": list(self.eps)})


def items(plan: Plan) -> tuple[Item, ...]:
    """The attacks of a plan, in its order."""
    return tuple(item(plan, section) for section in plan.attacks)


def item(plan: Plan, section: AttackSection) -> Item:
    """One attack of a plan.

    Raises:
        InputError: an unknown attack, parameter or goal, or a value that the attack refuses.
    """
    entry = catalog.find(section.attack)
    settings = _exact_types(entry, section.parameters)
    eps = plan.radii
    threat = BALLS[plan.threat.norm](eps[0])
    made = catalog.make(section.attack, threat, **settings)
    defaults = {key: parameter.default for key, parameter in catalog.parameters(entry).items()}
    task = task_of(plan.task, goal_of(section.goal, plan.task))
    return Item(section.title, entry, made, task, Nothing(), eps, {**defaults, **settings})


def task_of(section: TaskSection, goal: Goal) -> Classification:
    """What the model's output means; raises InputError where head and classes do not fit."""
    return Classification(len(section.classes), goal, head_of(section))


def head_of(section: TaskSection) -> Head:
    """The head that a plan names; raises InputError for an impossible operating point."""
    if section.head == OneLogit.name:
        return OneLogit(0.5 if section.threshold is None else section.threshold)
    return HEADS[section.head]()


def goal_of(words: str, section: TaskSection) -> Goal:
    """The goal that a plan names.

    Raises:
        InputError: there is no such goal or class, or a clinical goal in a plan that names no disease.
    """
    if words == "untargeted":
        return Untargeted()
    if words in GOALS:
        if not section.disease:
            raise PlanError(f"goal: '{words}' needs the classes that count as disease. Add task.disease.")
        clinical = hide_disease if words == "hide disease" else invent_disease
        return clinical(section.disease_indices, len(section.classes))
    if not words.startswith(TOWARDS):
        raise PlanError(f"goal: there is no goal '{words}'. {nearest(words, [*GOALS, f'{TOWARDS}a class'])}")
    name = words.removeprefix(TOWARDS).strip()
    if name not in section.classes:
        raise PlanError(f"goal: there is no class '{name}'. {nearest(name, section.classes)}")
    return Towards((section.classes.index(name),), f"towards {name}")


def _exact_types(entry: Entry, settings: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers as floats where the attack counts in floats, so that 1 and 1.0 have one identity."""
    known = catalog.parameters(entry)

    def exact(key: str, value: Any) -> Any:
        fractional = key in known and (known[key].default is None or isinstance(known[key].default, float))
        return float(value) if fractional and type(value) is int else value

    return {key: exact(key, value) for key, value in settings.items()}
