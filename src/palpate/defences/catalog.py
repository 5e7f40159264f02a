"""Every defence by name. Reading the table does not import torch: it holds the names of makers, imported when used."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from palpate.errors import PlanError, nearest

if TYPE_CHECKING:
    from palpate.defences.makers import Setting

SCORED = ("classification", "multilabel", "segmentation")
"""Kinds of task whose outputs have a mean."""
TASKS = (*SCORED, "detection")
_MAKERS = "palpate.defences.makers"


@dataclass(frozen=True)
class Entry:
    """One defence that can be named in a plan.

    Attributes:
        name: its name in plans and on the command line.
        summary: one line for lists.
        attacked: how the attacks take it into account.
        reference: where it was published.
        random: it draws random numbers, so it is judged and attacked in expectation.
        tasks: kinds of task that it can surround.
        why_not: why it cannot surround the others, as the end of a sentence.
    """

    name: str
    summary: str
    attacked: str
    reference: str
    random: bool = False
    tasks: tuple[str, ...] = TASKS
    why_not: str = ""

    @property
    def maker(self) -> Callable[..., Any]:
        """The function behind it; imports its module."""
        return getattr(importlib.import_module(_MAKERS), self.name.replace("-", "_"))  # type: ignore[no-any-return]

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Its keyword parameters."""
        return dict(list(inspect.signature(self.maker).parameters.items())[1:])


_THROUGH = "straight through (BPDA)"
_MEAN = "in expectation over draws"
_NO_MEAN = "it averages outputs, and boxes have no mean"
_TABLE = (
    Entry(
        "jpeg",
        "Images are compressed by a real JPEG before the model.",
        _THROUGH,
        "Das et al., SHIELD, KDD 2018; attacked by Shin, Song, JPEG-resistant Adversarial Images, 2017.",
    ),
    Entry(
        "quantise",
        "Values are rounded to a few levels before the model.",
        _THROUGH,
        "Xu, Evans, Qi, Feature Squeezing, NDSS 2018; attacked by Athalye, Carlini, Wagner, ICML 2018.",
    ),
    Entry(
        "median",
        "The median of each neighbourhood before the model.",
        "by its own gradient",
        "Xu, Evans, Qi, Feature Squeezing, NDSS 2018.",
    ),
    Entry(
        "blur",
        "A Gaussian blur before the model.",
        "by its own gradient",
        "Xu, Evans, Qi, Feature Squeezing, NDSS 2018.",
    ),
    Entry(
        "denoise",
        "Your purifier before the model: an autoencoder, a denoiser, a diffusion model.",
        "by its own gradient, or straight through where it has none; in expectation over draws",
        "Liao et al., High-Level Representation Guided Denoiser, CVPR 2018; Nie et al., DiffPure, ICML 2022.",
    ),
    Entry(
        "resize-pad",
        "Images are shrunk by a random factor and put at a random place.",
        _MEAN,
        "Xie et al., Mitigating Adversarial Effects Through Randomization, ICLR 2018; attacked by Athalye, Carlini, "
        "Wagner, ICML 2018.",
        random=True,
        tasks=SCORED[:2],
        why_not="it moves what masks and boxes mark",
    ),
    Entry(
        "noise",
        "Random noise before the model; the mean probability decides.",
        _MEAN,
        "Liu, Cheng, Zhang, Hsieh, Random Self-Ensemble, ECCV 2018.",
        random=True,
        tasks=SCORED,
        why_not=_NO_MEAN,
    ),
    Entry(
        "smoothing",
        "Randomised smoothing: the decision that most noisy copies get; the one defence here with a certificate.",
        "through the mean probability of other noise than the votes",
        "Cohen, Rosenfeld, Kolter, ICML 2019; attacked by Salman et al., NeurIPS 2019.",
        random=True,
        tasks=SCORED,
        why_not=_NO_MEAN,
    ),
    Entry(
        "ensemble",
        "Other models beside the model; their mean probability decides.",
        "all members together",
        "Pang et al., Improving Adversarial Robustness via Promoting Ensemble Diversity, ICML 2019; attacked by "
        "Tramer, Carlini, Brendel, Madry, NeurIPS 2020.",
        tasks=SCORED,
        why_not=_NO_MEAN,
    ),
    Entry(
        "reject",
        "A detector rejects images whose outputs change under filters; it must be the first defence.",
        "together with the model: the goal must be reached and the image accepted",
        "Xu, Evans, Qi, Feature Squeezing, NDSS 2018; attacked by He et al., WOOT 2017; Bryniarski et al., ICLR 2022.",
        tasks=SCORED,
        why_not="its score compares probabilities, and boxes have no common places",
    ),
)


def defences() -> Mapping[str, Entry]:
    """Name -> entry."""
    return {entry.name: entry for entry in _TABLE}


def find(name: str) -> Entry:
    """The entry of this name.

    Raises:
        PlanError: there is no such defence; the nearest name is proposed.
    """
    known = defences()
    if name not in known:
        raise PlanError(f"There is no defence '{name}'. {nearest(name, known)}")
    return known[name]


def described(entry: Entry) -> dict[str, Any]:
    """An entry as JSON, with its parameters and their defaults; `required` where there is none, as text."""
    return asdict(entry) | {"parameters": {name: _default(one) for name, one in entry.parameters.items()}}


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if parameter.default is None or parameter.default == {}:
        return "none"
    return str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)


def make(name: str, setting: Setting, **parameters: Any) -> Any:
    """A defence from its name, what it surrounds, and its parameters.

    Raises:
        PlanError: the name or a parameter is unknown or missing, or a value has the wrong type.
        InputError: the defence refuses a value.
    """
    entry = find(name)
    known = entry.parameters
    for key, value in parameters.items():
        if key not in known:
            raise PlanError(f"{key}: defence '{name}' has no such parameter. {nearest(key, known)}")
        _check_type(key, value, known[key])
    for key, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and key not in parameters:
            raise PlanError(f"{key}: it is missing. Give it: defence '{name}' has no default for it.")
    return entry.maker(setting, **parameters)


def require_fit(name: str, kind: str) -> None:
    """Refuse a defence around a task that it cannot surround.

    Raises:
        PlanError: one sentence with the defences that can.
    """
    entry = find(name)
    if kind not in entry.tasks:
        fitting = ", ".join(other.name for other in _TABLE if kind in other.tasks)
        raise PlanError(f"defence '{name}' cannot surround {kind}: {entry.why_not}. Choose among {fitting}.")


def _check_type(key: str, value: Any, parameter: inspect.Parameter) -> None:
    kinds = {
        "bool": ("true or false", isinstance(value, bool)),
        "int": ("a whole number", isinstance(value, int) and not isinstance(value, bool)),
        "float": ("a number", isinstance(value, (int, float)) and not isinstance(value, bool)),
        "str": ("a text", isinstance(value, str)),
        "Amount": (
            'a number of values, or a text such as "5%", "20 HU" or "8 stored steps"',
            isinstance(value, (int, float, str)) and not isinstance(value, bool),
        ),
        "Texts": (
            "a list of texts",
            isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value),
        ),
        "Table": ("a table", isinstance(value, Mapping)),
        "Tables": (
            "a list of tables",
            isinstance(value, (list, tuple)) and all(isinstance(one, Mapping) for one in value),
        ),
    }
    wanted, good = kinds[str(parameter.annotation).removesuffix(" | None")]
    if not good:
        raise PlanError(f"{key}: {value!r} must be {wanted}.")
