"""Any attack of the catalogue as a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palpate import catalog
from palpate.contracts import Attack, Task, Threat
from palpate.errors import PlanError
from palpate.hardening.contracts import Situation
from palpate.hardening.recipes.adversarial import Adversarial, check_share
from palpate.tasks.kinds import kind_of
from palpate.threats.ball import BALLS

NO_TRAINING = {
    "transfer": "its images are made for another model, and training needs images against this one",
    "hopskipjump": "it walks along the boundary of a decision, and training asks for the highest loss",
}
"""Attacks that cannot train a model, and why."""


@dataclass(frozen=True)
class FromCatalogue(Adversarial):
    """Minimise the mean training loss of images under an attack of the catalogue.

    A gradient ascent gives its last iterate; other attacks give the image of highest loss that they have seen
    (`palpate.attacks.crafting`). Every image is attacked to the end.

    Attributes:
        attack_name: name in the catalogue (`palpate list attacks`).
        settings: its parameters, by name.
        clean_share: probability with which an image stays as it is.
    """

    attack_name: str
    settings: tuple[tuple[str, Any], ...] = ()
    clean_share: float = 0.0

    def __post_init__(self) -> None:
        check_share(self.clean_share)

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the attack."""
        return self.attack_name

    def attack(self, situation: Situation) -> Attack:
        """The attack at the threat of this step."""
        made: Attack = catalog.factory(catalog.find(self.attack_name))(situation.threat, **dict(self.settings))
        return made


def from_catalogue(name: str, settings: Mapping[str, Any], task: Task, threat: Threat | None) -> FromCatalogue:
    """A recipe that trains on an attack of the catalogue.

    Raises:
        PlanError: the attack or a parameter is unknown, a value has the wrong type, the attack is for another norm or
            task, it needs a goal, or it cannot train a model.
        InputError: the attack refuses a value.
    """
    if name in NO_TRAINING:
        raise PlanError(f"attack '{name}' cannot train a model: {NO_TRAINING[name]}. Use pgd, fast or square.")
    entry = catalog.find(name)
    if kind := kind_of(task):
        catalog.check_supports(name, kind, targeted=False)
    own = {key: value for key, value in settings.items() if key != "clean_share"}
    catalog.make(name, BALLS[entry.norms[0]](1.0) if threat is None else threat, **own)
    share = settings.get("clean_share", 0.0)
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        raise PlanError(f"recipe '{name}': clean_share = {share!r} must be a number.")
    if entry.surrogate:
        raise PlanError(f"attack '{name}' cannot train a model: it needs another model. Use pgd, fast or square.")
    return FromCatalogue(name, tuple(sorted(own.items())), float(share))
