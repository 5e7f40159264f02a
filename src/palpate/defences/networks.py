"""Defences with networks of their own: purifiers in front of a model, and other models beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from palpate.defences.drawn import require_draws
from palpate.defences.reading import Reading
from palpate.errors import InputError
from palpate.postprocessing.base import through
from palpate.tensors import Tree
from palpate.usercode import UserCode
from palpate.victim.defence import Inside, Pass
from palpate.victim.draws import kept_random_state, seed_everything


@dataclass(frozen=True)
class Denoise:
    """A purifier in front of the model: a module from stored values (B, C, *spatial) to cleaner ones of that shape.

    Its own gradient is used where it has one, otherwise it is passed straight through. A purifier that draws random
    numbers (diffusion) is judged and attacked in expectation: `draws` above 1, each with a fixed seed.

    Attributes:
        module: the purifier.
        draws: how often each image is purified; the mean probability decides. 1 for a purifier without randomness.
        straight: always pass the gradient straight through, for purifiers of many steps whose own gradient vanishes.
        head: how outputs are read where there are several draws; None: as the task says, without one as classes.
        name: what the purifier is called in reports.
        digest: hash of its code and weights, where it was loaded from files.

    Raises:
        InputError: no draws, or a purifier that is not a module.
    """

    module: nn.Module = field(compare=False)
    draws: int = 1
    straight: bool = False
    head: Reading | None = None
    name: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        require_draws("denoise", self.draws)
        if not isinstance(self.module, nn.Module):
            raise InputError(f"denoise: {type(self.module).__name__} is not a purifier. Give a torch.nn.Module.")

    @property
    def exact(self) -> bool:
        """Whether both passes give the same values: without draws."""
        return self.draws == 1

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The purifier."""
        return (self.module,)

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        often = "" if self.draws == 1 else f", mean of {self.draws} draws"
        return f"purified by {self.name or type(self.module).__name__}{often}"

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tree:
        """The outputs for purified images.

        Raises:
            InputError: the purifier gives images of another shape.
        """
        if self.draws == 1:
            return answer(self._purified(images, how.seed))
        outputs = [answer(self._purified(images, how.seed + place)) for place in range(self.draws)]
        return (self.head or Reading()).mean(outputs)

    def _purified(self, images: Tensor, seed: int) -> Tensor:
        if self.draws == 1:
            return self._clean(images)
        # One image at a time, so that its random numbers do not depend on the rest of the batch.
        rows = []
        with kept_random_state(images.device):
            for place in range(len(images)):
                seed_everything(seed)
                rows.append(self._clean(images[place : place + 1]))
        return torch.cat(rows) if rows else self._clean(images)

    def _clean(self, images: Tensor) -> Tensor:
        with UserCode():
            clean = self.module(images.clone())
        if not isinstance(clean, Tensor) or clean.shape != images.shape:
            given = list(clean.shape) if isinstance(clean, Tensor) else type(clean).__name__
            raise InputError(
                f"denoise: the purifier returned {given} for images of {list(images.shape)}. Return images of that "
                "shape, in stored values."
            )
        clean = clean.to(images.dtype)
        if images.requires_grad and (self.straight or not clean.requires_grad):
            return through(clean, images)
        return clean


@dataclass(frozen=True)
class Ensemble:
    """Other models beside the model: the mean of their probabilities decides.

    All get the preprocessing and the inferer of the victim, and all are attacked together.

        Victim(module, defences=(Ensemble((second, third)),))

    Attributes:
        members: the other models, with outputs of the same form.
        head: how outputs are read; None: as the task says, and without one as classes.
        names: what they are called in reports.
        digests: hashes of their code and weights, where they were loaded from files.

    Raises:
        InputError: no members.
    """

    members: tuple[nn.Module, ...] = field(compare=False)
    head: Reading | None = None
    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    exact = True

    def __post_init__(self) -> None:
        if not self.members or not all(isinstance(member, nn.Module) for member in self.members):
            raise InputError("ensemble.members: give at least one other model, as a torch.nn.Module.")

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The members."""
        return self.members

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        with_them = ", ".join(self.names) or f"{len(self.members)} more"
        return f"mean probability of {len(self.members) + 1} models (with {with_them})"

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tensor:
        """Mean probabilities as raw outputs.

        Raises:
            InputError: a member's outputs have another shape than the model's.
        """
        if not isinstance(answer, Inside):
            raise InputError("ensemble: it surrounds a Victim, whose preprocessing its members share.")
        outputs = [answer(images), *(answer.by(member)(images) for member in self.members)]
        for place, output in enumerate(outputs[1:]):
            if isinstance(output, Tensor) and isinstance(outputs[0], Tensor) and output.shape != outputs[0].shape:
                named = self.names[place] if self.names else f"member {place + 1}"
                raise InputError(
                    f"ensemble.members: {named} returns {list(output.shape)}, and the model {list(outputs[0].shape)}. "
                    "Give models of the same task."
                )
        return (self.head or Reading()).mean(outputs)
