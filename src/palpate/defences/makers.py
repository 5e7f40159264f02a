"""The defences of the catalogue as functions: from the parameters of a plan to a value that surrounds a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NewType

from torch import nn

from palpate.defences.drawn import Noise, ResizePad
from palpate.defences.filters import Filter, Median, Quantised, Step
from palpate.defences.networks import Denoise, Ensemble
from palpate.defences.reading import Reading
from palpate.defences.reject import Reject
from palpate.defences.smoothing import Smoothing
from palpate.errors import InputError, nearest
from palpate.models.source import ModelSource
from palpate.postprocessing.codecs import Jpeg
from palpate.postprocessing.grids import Blurred
from palpate.units import Scale, radius

Amount = NewType("Amount", object)
"""A width in stored values, or a text as budgets have it: `"5%"`, `"20 HU"`, `"8 stored steps"`."""
Table = Mapping[str, Any]
Tables = Sequence[Mapping[str, Any]]
Texts = Sequence[str]

_NOISE = Amount("5%")


@dataclass(frozen=True)
class LoadedNetwork:
    """A network that a defence names.

    Attributes:
        module: the network; an empty one where the plan is only checked.
        digest: hash of its code, files and weights.
    """

    module: nn.Module
    digest: str = ""


Loader = Callable[[ModelSource], LoadedNetwork]


@dataclass(frozen=True)
class Setting:
    """What a defence surrounds.

    Attributes:
        scale: what the values of the images mean.
        head: how the task reads outputs; None for boxes.
        load: loads a network that the plan names; by default nothing is loaded, and the names are only checked.
    """

    scale: Scale
    head: Reading | None = None
    load: Loader = lambda source: LoadedNetwork(nn.Identity())


def jpeg(setting: Setting, quality: int = 75) -> Filter:
    """Images are compressed by a real JPEG (Pillow, baseline, colour at half resolution) before the model.

    Args:
        setting: what it surrounds.
        quality: of the encoder, 1 to 100.
    """
    return Filter(Jpeg(setting.scale, quality))


def quantise(setting: Setting, bits: int = 4, step: Amount | None = None) -> Filter:
    """Values are rounded to 2 to the power of `bits` levels of the model's window, or of the whole range.

    Args:
        setting: what it surrounds.
        bits: 1 to 16.
        step: the distance of two levels instead: stored values, or a text such as "8 stored steps" or "10 HU".
    """
    if not 1 <= bits <= 16:
        raise InputError(f"bits: {bits} must be from 1 to 16.")
    if step is not None:
        return Filter(Quantised(setting.scale, width(step, setting, "step")))
    return Filter(Quantised.of_bits(setting.scale, bits))


def median(setting: Setting, size: int = 3) -> Filter:
    """The median of each neighbourhood of `size` pixels along every axis.

    Args:
        setting: what it surrounds.
        size: side in pixels, odd.
    """
    return Filter(Median(size))


def blur(setting: Setting, sigma: float = 1.0) -> Filter:
    """A Gaussian blur before the model.

    Args:
        setting: what it surrounds.
        sigma: width of the Gaussian in pixels.
    """
    return Filter(Blurred(setting.scale, float(sigma)))


def denoise(
    setting: Setting,
    factory: str,
    arguments: Table = {},  # noqa: B006 - read only
    weights: str | None = None,
    draws: int = 1,
    straight: bool = False,
) -> Denoise:
    """Your purifier before the model: a module from stored values (B, C, *spatial) to cleaner ones.

    Args:
        setting: what it surrounds.
        factory: `file.py:function`, which returns the module. This code is run.
        arguments: keyword arguments of the function.
        weights: a file of weights for the module.
        draws: for a purifier that draws random numbers: the mean probability of so many purified images decides.
        straight: pass the gradient straight through even where the purifier has one of its own.
    """
    loaded = setting.load(ModelSource(factory=factory, arguments=dict(arguments), weights=weights))
    return Denoise(loaded.module, draws, straight, setting.head, factory, loaded.digest)


def resize_pad(setting: Setting, smallest: float = 0.8, draws: int = 16) -> ResizePad:
    """Images are shrunk by a random factor and put at a random place of an empty image.

    Args:
        setting: what it surrounds.
        smallest: smallest factor, between 0 and 1.
        draws: random copies whose mean probability decides.
    """
    return ResizePad(setting.scale, float(smallest), draws, setting.head)


def noise(setting: Setting, sigma: Amount = _NOISE, draws: int = 16) -> Noise:
    """Gaussian noise before the model; the mean probability decides.

    Args:
        setting: what it surrounds.
        sigma: its standard deviation in stored values, or a text such as "5%" or "20 HU".
        draws: noisy copies.
    """
    return Noise(width(sigma, setting, "sigma"), draws, setting.head)


def smoothing(setting: Setting, sigma: Amount = _NOISE, draws: int = 16, votes: int = 100) -> Smoothing:
    """Randomised smoothing: the decision that most noisy copies get.

    Args:
        setting: what it surrounds.
        sigma: standard deviation of the noise in stored values, or a text such as "5%" or "20 HU".
        draws: noisy copies in a pass of the search.
        votes: noisy copies that decide.
    """
    return Smoothing(width(sigma, setting, "sigma"), draws, setting.head, votes)


def ensemble(setting: Setting, members: Tables) -> Ensemble:
    """Other models beside the model; the mean probability decides. They get the model's preprocessing and inferer.

    Args:
        setting: what it surrounds.
        members: the other models, each named like a model: `{factory = "model.py:build", weights = "b.safetensors"}`.
    """
    known = set(ModelSource.__dataclass_fields__) - {"endpoint"}
    sources = []
    for place, member in enumerate(members):
        if unknown := sorted(set(member) - known):
            raise InputError(
                f"members: member {place + 1} has the field '{unknown[0]}'. Known are {', '.join(sorted(known))}."
            )
        try:
            sources.append(ModelSource(**member))
        except InputError as error:
            raise InputError(f"members: member {place + 1}: {str(error).removeprefix('model: ')}") from error
    loaded = [setting.load(source) for source in sources]
    names = tuple(str(source.weights_file or source.factory or place + 1) for place, source in enumerate(sources))
    return Ensemble(tuple(one.module for one in loaded), setting.head, names, tuple(one.digest for one in loaded))


def reject(
    setting: Setting,
    filters: Texts = ("quantise", "median", "blur"),
    threshold: float | None = None,
    false_alarms: float = 0.05,
) -> Reject:
    """A detector that rejects images whose outputs change under a filter (feature squeezing).

    Args:
        setting: what it surrounds.
        filters: `quantise` (3 bits), `median` (3 pixels), `blur` (1 pixel), `jpeg` (quality 75): one or several.
        threshold: of the change of the probabilities, above which an image is rejected.
        false_alarms: without a threshold: it is set so that at most this share of the audited clean images is rejected.
    """
    known: dict[str, Step] = {
        "quantise": Quantised.of_bits(setting.scale, 3),
        "median": Median(3),
        "blur": Blurred(setting.scale, 1.0),
        "jpeg": Jpeg(setting.scale, 75),
    }
    for name in filters:
        if name not in known:
            raise InputError(f"filters: '{name}' is not one of them. {nearest(name, known)}")
    chosen = tuple(known[name] for name in filters)
    return Reject(chosen, None if threshold is None else float(threshold), float(false_alarms), setting.head)


def width(written: Any, setting: Setting, name: str) -> float:
    """A width in stored values; raises InputError if the images lack its unit."""
    try:
        return radius(written, setting.scale)
    except ValueError as error:
        raise InputError(f"{name}: {error}.") from error
