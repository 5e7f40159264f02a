"""Every recipe by name. Reading the table imports no torch: it names classes, which are imported when one is made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from palpate import catalog
from palpate.artefacts import catalog as artefact_catalog
from palpate.errors import PlanError, nearest
from palpate.hardening.recipes.defaults import Judge, default_fallback, default_judge, default_recipe

if TYPE_CHECKING:
    from palpate.contracts import Task, Threat
    from palpate.hardening.contracts import Recipe

__all__ = [
    "RECIPES", "ImageFacts", "Judge", "RecipeEntry", "default_fallback", "default_judge", "default_recipe", "defaults",
    "find", "make", "mixture",
]  # fmt: skip


@dataclass(frozen=True)
class RecipeEntry:
    """One recipe that can be named in a plan.

    Attributes:
        name: its name in plans and on the command line.
        factory: `module:class`; a frozen dataclass whose fields are the settings.
        summary: one line for lists.
        passes: what one training step costs, in words.
        reference: where it was published.
        tasks: kinds of task that it trains.
    """

    name: str
    factory: str
    summary: str
    passes: str
    reference: str
    tasks: tuple[str, ...] = catalog.TASKS


@dataclass(frozen=True)
class ImageFacts:
    """What a plan says of the images, for recipes that need it.

    Attributes:
        modality: `ct`, `fundus` and the like; empty: unknown.
        unit: unit of the stored values, such as `HU`; empty: unknown.
        spacing: mm of a pixel along each axis; empty: unknown.
        axes: number of spatial axes, 2 or 3; 0: unknown.
        channels: number of channels; 0: unknown.
    """

    modality: str = ""
    unit: str = ""
    spacing: tuple[float, ...] = ()
    axes: int = 0
    channels: int = 0


_R = "palpate.hardening.recipes"
_SLIP = 0.8
"""Two names at least this alike are one name with a slip."""
_TABLE = (
    RecipeEntry(
        "fast",
        f"{_R}.gradient:Fast",
        "One gradient step from strong noise, not brought back into the ball (N-FGSM).",
        "2 forwards, 2 backwards",
        "de Jorge et al., Make Some Noise, NeurIPS 2022 (arXiv:2202.01181).",
    ),
    RecipeEntry(
        "fgsm",
        f"{_R}.gradient:Fgsm",
        "One projected step from random noise (RS-FGSM); prone to catastrophic overfitting.",
        "2 forwards, 2 backwards",
        "Wong, Rice, Kolter, Fast is Better than Free, ICLR 2020 (arXiv:2001.03994).",
    ),
    RecipeEntry(
        "pgd",
        f"{_R}.gradient:Pgd",
        "A climb of the loss from a random start.",
        "steps + 1 forwards, steps + 1 backwards",
        "Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018 (arXiv:1706.06083).",
    ),
    RecipeEntry(
        "trades",
        f"{_R}.trades:Trades",
        "Clean loss plus the distance between clean and attacked outputs.",
        "steps + 3 forwards, steps + 2 backwards",
        "Zhang et al., Theoretically Principled Trade-off between Robustness and Accuracy, ICML 2019 "
        "(arXiv:1901.08573).",
    ),
    RecipeEntry(
        "mart",
        f"{_R}.mart:Mart",
        "As trades, from attacked labels, where images that the model is unsure of count more.",
        "steps + 2 forwards, steps + 2 backwards",
        "Wang et al., Improving Adversarial Robustness Requires Revisiting Misclassified Examples, ICLR 2020.",
    ),
    RecipeEntry(
        "smia",
        f"{_R}.smia:Smia",
        "The stabilised medical image attack, and agreement with the smoothed image in the loss.",
        "2 * steps + 2 forwards, steps + 2 backwards, the ones of the climb through both images",
        "Qi et al., Stabilized Medical Image Attacks, ICLR 2021 (arXiv:2103.05232); the loss is palpate's.",
    ),
    RecipeEntry(
        "segpgd",
        f"{_R}.dense:SegPgd",
        "A climb that weighs unbroken pixels first and broken ones later; five steps or more.",
        "steps + 1 forwards, steps + 1 backwards",
        "Gu, Zhao, Tresp, Torr, SegPGD, ECCV 2022; steps as in Croce, Singh, Hein, arXiv:2306.12941.",
        catalog.DENSE,
    ),
    RecipeEntry(
        "cospgd",
        f"{_R}.dense:CosPgd",
        "A climb that weighs pixels by how close they still are to the truth; five steps or more.",
        "steps + 1 forwards, steps + 1 backwards",
        "Agnihotri, Jung, Keuper, CosPGD, ICML 2024; steps as in Croce, Singh, Hein, arXiv:2306.12941.",
        catalog.DENSE,
    ),
    RecipeEntry(
        "artefacts",
        f"{_R}.artefacts:Artefacts",
        "The worst of several random artefacts of acquisition; masks and boxes move along.",
        "draws + 1 forwards, 1 backward",
        "Engstrom et al., Exploring the Landscape of Spatial Robustness, ICML 2019 (arXiv:1712.02779), for the worst "
        "of k.",
    ),
)
RECIPES: Mapping[str, RecipeEntry] = {entry.name: entry for entry in _TABLE}


def find(name: str) -> RecipeEntry | None:
    """The entry of a recipe; None for an attack of the catalogue, which trains too.

    Raises:
        PlanError: there is neither such a recipe nor such an attack; the nearest name is proposed.
    """
    if name in RECIPES:
        return RECIPES[name]
    if name not in catalog.attacks():
        hint = nearest(name, [*RECIPES, *catalog.attacks()])
        # A word that is merely like one of so many names is no slip: `nonsense` is not `noise`.
        near = any(SequenceMatcher(None, name, one).ratio() >= _SLIP for one in (*RECIPES, *catalog.attacks()))
        hint = (
            hint
            if near and hint.startswith("Did")
            else f"Known are {', '.join(RECIPES)}, and the attacks of `palpate list`."
        )
        raise PlanError(f"There is no recipe '{name}'. {hint}")
    return None


def defaults(entry: RecipeEntry) -> dict[str, Any]:
    """The settings of a recipe with their defaults; those without one are not in it."""
    return {field.name: field.default for field in fields(_kind(entry)) if field.default is not MISSING}


def make(
    name: str,
    settings: Mapping[str, Any],
    task: Task,
    threat: Threat | None = None,
    images: ImageFacts = ImageFacts(),
) -> Recipe:
    """A recipe, or an attack of the catalogue as a recipe, from its name and settings.

    Args:
        name: `palpate list recipes`, or an attack of `palpate list attacks`.
        settings: its parameters.
        task: what the model's outputs mean.
        threat: the threat at the full budget; without it, an attack of the catalogue that cannot use it is refused only
            when it crafts.
        images: what the plan says of the images, for artefacts.

    Raises:
        PlanError: the name or a setting is unknown, a value has the wrong type, or the recipe is for other tasks.
        InputError: the recipe refuses a value.
    """
    from palpate.hardening.recipes.catalogue import from_catalogue
    from palpate.hardening.recipes.settings import checked
    from palpate.tasks.kinds import kind_of

    entry = find(name)
    if entry is None:
        return from_catalogue(name, settings, task, threat)
    kind = kind_of(task)
    if kind is not None and kind not in entry.tasks:
        fitting = ", ".join(other.name for other in RECIPES.values() if kind in other.tasks)
        raise PlanError(
            f"recipe '{name}' trains {', '.join(entry.tasks)}, not {kind}. Choose among {fitting}, or an attack."
        )
    given = dict(checked(name, settings, _kind(entry)))
    if given.get("boxes", "summed") != "summed" and kind != "detection":
        raise PlanError(f"recipe '{name}': boxes = \"{given['boxes']}\" is for detectors. Leave it out.")
    if name == "artefacts":
        given = _with_facts(given, images)
    made: Recipe = _kind(entry)(**given)
    return made


def mixture(parts: Sequence[tuple[Recipe, float]]) -> Recipe:
    """Several recipes, each with its share of the batches; a single one is returned as it is.

    Raises:
        InputError: there is none, or a share is not above 0.
    """
    from palpate.hardening.recipes.mixture import Mixture

    if len(parts) == 1:
        return parts[0][0]
    return Mixture(tuple(recipe for recipe, _ in parts), tuple(share for _, share in parts))


def _kind(entry: RecipeEntry) -> Any:
    module, _, name = entry.factory.partition(":")
    return getattr(importlib.import_module(module), name)


def _with_facts(given: dict[str, Any], images: ImageFacts) -> dict[str, Any]:
    """Settings of `artefacts` with what is known of the images, and the artefacts that these can have."""
    from palpate.artefacts.artefact import Scene

    given = {"unit": images.unit, "spacing": images.spacing, **given}
    if "names" in given:
        return given
    known = Scene((0.0, 1.0), given["spacing"] or None, given["unit"])
    rows = artefact_catalog.of_modality(images.modality) if images.modality else ()
    names = tuple(row.name for row in rows if _can(artefact_catalog.make(row.name), known, images))
    if not names:
        raise PlanError(
            "recipe 'artefacts': name the artefacts, such as settings = {names = [\"noise\"]}, or give data.modality "
            "(`palpate list artefacts`)."
        )
    return {**given, "names": names}


def _can(artefact: Any, scene: Any, images: ImageFacts) -> bool:
    """Whether images of a plan can have an artefact, as far as it is known."""
    needs = artefact.needs
    return bool(
        (not images.axes or images.axes in artefact.dimensions)
        and ("HU" not in needs or scene.unit.casefold() == "hu")
        and ("spacing" not in needs or scene.spacing is not None)
        and ("colour" not in needs or images.channels in (0, 3))
    )
