"""The attacks of a plan as values: each with its goal, its budgets and the identity of its results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from palpate import catalog
from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.curve import usual_order
from palpate.attacks.robust import robust
from palpate.audit.plan.fields import PlanFields
from palpate.audit.plan.identity import digest, encode
from palpate.audit.plan.sections.attacks import AttackSection
from palpate.audit.plan.sections.run import Order
from palpate.audit.plan.tasks import FLAT, Grid, family, goal_words, plan_task, reader_of
from palpate.catalog import Entry
from palpate.contracts import Attack, Task
from palpate.errors import InputError
from palpate.measures.measure import Reader
from palpate.tasks.kinds import is_targeted


@dataclass(frozen=True)
class Item:
    """One attack of a plan, ready to run.

    Attributes:
        name: its name in records and reports; not part of its identity.
        entry: its row of the catalog.
        attack: the attack, at its smallest budget.
        task: what the model's output means, with the attack's goal.
        reader: reads outputs and targets for the records.
        eps: budgets in stored values, rising.
        parameters: all its parameters, including those at their defaults.
        robust_to: names of the post-processing steps that its images must survive.
        curve: in which order its budgets are attacked.
        query_budget: how often the model may be asked about one image; None: as often as the attack does.
    """

    name: str
    entry: Entry
    attack: Attack
    task: Task
    reader: Reader
    eps: tuple[float, ...]
    parameters: dict[str, Any]
    robust_to: tuple[str, ...] = ()
    curve: Order = "rising"
    query_budget: int | None = None

    @property
    def goal(self) -> str:
        """The goal in words, as records have it."""
        return goal_words(self.task)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages of an attack of several stages; empty for others."""
        return tuple(stage.name for stage in self.attack.stages) if isinstance(self.attack, Cascade) else ()

    @property
    def searches(self) -> tuple[str, ...]:
        """Names of those stages that use no gradient."""
        stages = self.attack.stages if isinstance(self.attack, Cascade) else ()
        return tuple(stage.name for stage in stages if not stage.gradient)

    @property
    def climbs(self) -> tuple[Stage, ...]:
        """The gradient ascents that run: the attack, or its stages that climb; empty without."""
        stages = self.attack.stages if isinstance(self.attack, Cascade) else (Stage(self.name, self.attack),)
        climbs = [stage for stage in stages if isinstance(stage.attack, Ascent)]
        return tuple(stage for stage in climbs if stage.applies(self.task, self.attack.threat.norm))

    @property
    def climb(self) -> Stage | None:
        """The gradient ascent whose steps are looked at: the first one; None without."""
        return next(iter(self.climbs), None)

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides what the attack does to an image of a given model."""
        what = {"attack": encode(self.attack), "task": encode(self.task), "eps": list(self.eps)}
        # Plans without this field keep the identities that they had.
        return digest(what if self.query_budget is None else {**what, "query_budget": self.query_budget})


def items(plan: PlanFields, grid: Grid = FLAT) -> tuple[Item, ...]:
    """The attacks of a plan, in its order, for images of this grid."""
    return tuple(item(plan, section, grid) for section in plan.attacks)


def item(plan: PlanFields, section: AttackSection, grid: Grid = FLAT) -> Item:
    """One attack of a plan.

    Raises:
        InputError: the attack, a parameter or the goal is unknown, or the attack refuses a value.
    """
    entry = catalog.find(section.attack)
    settings = _exact_types(entry, section.parameters)
    curve = section.curve or plan.curve
    if curve == "minimum" and not entry.minimum:
        raise InputError(_not_minimum(section.attack))
    if curve == "each" and "run_to_end" in catalog.parameters(entry):
        settings.setdefault("run_to_end", True)
    eps = plan.radii
    made = catalog.make(section.attack, plan.threat.build(eps[0]), **settings)
    if section.query_budget is not None and entry.gradient and not isinstance(made, Cascade):
        raise InputError(
            f"query_budget: it limits attacks that use only outputs, and '{section.attack}' uses gradients. "
            f"Remove it{f', and set {entry.steps_parameter}' if entry.steps_parameter else ''}."
        )
    if curve == "bisect" and section.curve is None and plan.run.curve is None:
        curve = usual_order(made, eps)
    made = robust(made, section.robust_to, plan.scale) if section.robust_to else made
    defaults = {key: parameter.default for key, parameter in catalog.parameters(entry).items()}
    task = plan_task(plan, section.goal)
    catalog.check_supports(section.attack, family(plan.task), targeted=is_targeted(task))
    reader = reader_of(plan.task, task, grid)
    asked = {} if section.query_budget is None else {"query_budget": section.query_budget}
    shown = {**defaults, **settings, **asked}
    if entry.surrogate and plan.surrogate is not None:
        shown["surrogate"] = plan.surrogate.named
    return Item(section.title, entry, made, task, reader, eps, shown, section.robust_to, curve, section.query_budget)


def _not_minimum(name: str) -> str:
    fitting = ", ".join(entry.name for entry in catalog.attacks().values() if entry.minimum)
    return (
        f"curve: \"minimum\" reads all budgets from the smallest change, which '{name}' does not search. Give this "
        f'attack curve = "rising", or use one of {fitting}.'
    )


def _exact_types(entry: Entry, settings: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers as floats where the attack counts in floats, so that 1 and 1.0 have one identity."""
    known = catalog.parameters(entry)

    def exact(key: str, value: Any) -> Any:
        fractional = key in known and (known[key].default is None or isinstance(known[key].default, float))
        return float(value) if fractional and type(value) is int else value

    return {key: exact(key, value) for key, value in settings.items()}
