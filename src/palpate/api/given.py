"""The attacks of an evaluation in whatever form they are given: names, objects, plain functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palpate import catalog
from palpate.api.own import OwnAttack, OwnLoss
from palpate.attacks.ascent import Ascent
from palpate.attacks.curve import Order
from palpate.contracts import Attack, Task, Threat
from palpate.errors import InputError, PlanError, nearest
from palpate.tasks.kinds import is_targeted, kind_of

_FOREIGN = {
    "torchattacks": "lambda model, x, y, eps: torchattacks.PGD(model, eps=eps)(x, y)",
    "foolbox": "lambda model, x, y, eps: attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=eps)[1]",
    "art": "lambda model, x, y, eps: torch.from_numpy(attack.generate(x.numpy(), y.numpy()))",
}
"""Other libraries -> how one of their attacks becomes a function of model, images, labels and eps."""


@dataclass(frozen=True)
class Given:
    """An attack of an evaluation.

    Attributes:
        name: its name in the table.
        attack: the attack.
        order: in which order budgets are attacked.
    """

    name: str
    attack: Attack
    order: Order | None


def attacks_given(
    given: Any, threat: Threat, parameters: Mapping[str, Any], loss: Callable[..., Any] | None, task: Task
) -> list[Given]:
    """The attacks, each with a name of its own.

    Args:
        given: a name, an attack, a function `(model, x, y, eps)`; a pair of a name and its parameters; a dict as in a
            plan, `{"attack": "pgd", "steps": 20}`; a list of them; or a dict of names and them.
        threat: the threat at the smallest budget.
        parameters: of the attacks that are given by name: of each that has such a parameter, and of one at least.
        loss: what gradient attacks increase instead of the task's own loss.
        task: what the outputs mean.

    Raises:
        InputError: an attack is none of these, is not for this task, or cannot have another loss.
    """
    found: dict[str, Given] = {}
    listed = [*_listed(given)]
    shared = _shared(parameters, [one for _, one in listed])
    for wanted, one in listed:
        made = _made(one, wanted, threat, shared, task)
        name, count = made.name, 2
        while made.name in found:
            made, count = replace(made, name=f"{name} {count}"), count + 1
        found[made.name] = made if loss is None else replace(made, attack=_climbing(made, loss))
    if not found:
        raise InputError('attacks: there is none. Name one, such as attacks="strongest".')
    return list(found.values())


def _listed(given: Any) -> Iterator[tuple[str, Any]]:
    """Every attack with the name that it was given, or an empty one."""
    if isinstance(given, Mapping) and "attack" not in given:
        yield from ((str(name), one) for name, one in given.items())
    elif isinstance(given, (list, tuple, set)) and not _is_named(given):
        yield from (("", one) for one in given)
    else:
        yield "", given


def _shared(parameters: Mapping[str, Any], listed: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """For each attack of the list that is given by name, those of the parameters that are for it.

    Raises:
        PlanError: no attack has one of them.
    """
    names = [one if isinstance(one, str) else one["attack"] if isinstance(one, Mapping) else one[0]
             for one in listed if isinstance(one, (str, Mapping)) or _is_named(one)]  # fmt: skip
    known = {name: catalog.parameters(catalog.find(name)) for name in names}
    for key in parameters:
        if not any(key in own for own in known.values()):
            owner = next(iter(known), "")
            if not owner:
                raise InputError(
                    f"{key}: there is no such argument, and no attack is given by name that could take it."
                )
            said = (
                nearest(key, {one for own in known.values() for one in own}) if any(known.values()) else "It has none."
            )
            raise PlanError(f"attack '{owner}' has no parameter '{key}'. {said}")
    return {name: {key: value for key, value in parameters.items() if key in own} for name, own in known.items()}


def _is_named(given: Any) -> bool:
    """A name with its parameters: `("pgd", {"steps": 20})`."""
    pair = isinstance(given, tuple) and len(given) == 2
    return pair and isinstance(given[0], str) and isinstance(given[1], Mapping) and "attack" not in given[1]


def _made(one: Any, wanted: str, threat: Threat, shared: Mapping[str, dict[str, Any]], task: Task) -> Given:
    if isinstance(one, Mapping):
        settings = {key: value for key, value in one.items() if key not in ("attack", "name")}
        return _named(one["attack"], str(one.get("name", wanted)), threat, shared[one["attack"]] | settings, task)
    if _is_named(one):
        return _named(one[0], wanted, threat, {**shared[one[0]], **one[1]}, task)
    if isinstance(one, str):
        return _named(one, wanted, threat, shared[one], task)
    name = wanted or _name_of(one)
    if isinstance(one, type) or not callable(one):
        raise InputError(
            f'attacks: {one!r} is not an attack. Give a name, such as "pgd", an attack, or a function of model, x, y '
            "and eps."
        )
    if (library := type(one).__module__.partition(".")[0]) in _FOREIGN:
        raise InputError(
            f"attacks: {name} of {library} has another form. Wrap it in a function of model, x, y and eps: "
            f"{_FOREIGN[library]}."
        )
    if isinstance(getattr(one, "threat", None), Threat):
        return Given(name, one, None if isinstance(one, Ascent) else "rising")
    return Given(name, _function(one, name, threat), "rising")


def _function(one: Callable[..., Any], name: str, threat: Threat) -> Attack:
    """A recipe (`palpate.attacks.recipes.pgd`), called with the threat; any other function as an attack."""
    try:
        signature = inspect.signature(one)
    except (TypeError, ValueError):
        return OwnAttack(threat, one, name)
    if next(iter(signature.parameters), "") == "threat":
        made: Attack = one(threat)
        return made
    try:
        signature.bind(None, None, None, 0.0)
    except TypeError as error:
        raise InputError(
            f"attacks: {name}{signature} cannot be called with (model, x, y, eps). Write it as "
            f"def {name if name.isidentifier() else 'attack'}(model, x, y, eps), and return the changed images."
        ) from error
    return OwnAttack(threat, one, name)


def _named(name: str, wanted: str, threat: Threat, settings: Mapping[str, Any], task: Task) -> Given:
    entry = catalog.find(name)
    if entry.surrogate or entry.learned:
        raise InputError(
            f"attacks: '{entry.name}' needs more than a model and images: run it in a plan, palpate.audit."
        )
    if (kind := kind_of(task)) is not None:
        catalog.check_supports(entry.name, kind, targeted=is_targeted(task))
    order: Order | None = "minimum" if entry.minimum else None
    return Given(wanted or entry.name, catalog.make(entry.name, threat, **settings), order)


def _climbing(given: Given, loss: Callable[..., Any]) -> Attack:
    if not isinstance(given.attack, Ascent):
        raise InputError(
            f"loss: '{given.name}' does not climb one loss, so it cannot take yours. Use a gradient attack such as "
            "pgd, bim, mi or apgd-ce."
        )
    if not callable(loss):
        raise InputError(f"loss: {loss!r} cannot be called. Give a function of outputs and labels.")
    return replace(given.attack, objective=OwnLoss(loss))


def _name_of(one: Any) -> str:
    name = getattr(one, "__name__", "") or type(one).__name__
    return "attack" if name == "<lambda>" else str(name)


def threat_given(threat: Any, ball: Callable[[float], Threat], eps: Sequence[float]) -> Threat:
    """The threat at the smallest of some radii.

    Raises:
        InputError: what was given makes no threat.
    """
    if threat is None:
        return ball(min(eps))
    if isinstance(threat, Threat) or not callable(threat):
        raise InputError("threat: give a function of eps, such as threat=lambda eps: palpate.Confined(eps, tied=True).")
    made = threat(min(eps))
    if not isinstance(made, Threat):
        raise InputError(f"threat: it made {made!r}, which is not a threat. Return palpate.Linf(eps) or another.")
    return made
