"""`palpate.certify`: certified lower bounds beside attacked upper bounds in one line, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palpate.api.attacking import looked_at, victim_given
from palpate.api.inputs import images_from, labels_from, targets_from
from palpate.api.tasks import of_task, task_named
from palpate.certificates.decisions import Decisions, voted
from palpate.certificates.image import certify_image
from palpate.certificates.opponent import Attacker, unsmoothed
from palpate.certificates.outcome import Certificates
from palpate.certificates.settings import Settings
from palpate.certificates.votes import together
from palpate.contracts import Task
from palpate.defences.fitted import fitted
from palpate.errors import InputError
from palpate.models.faults import refusal
from palpate.models.source import Outputs
from palpate.seeds import derive
from palpate.tensors import Tree
from palpate.threats.ball import check_bounds
from palpate.units import Scale, radius
from palpate.usercode import ModelError
from palpate.victim import Defence, Inferer, Victim

Size = float | str


def certify(
    module: nn.Module | Victim | Callable[[Tensor], Any],
    images: Tensor | Any,
    targets: Tree,
    sigma: Size,
    *,
    samples: int = 1000,
    select: int = 100,
    confidence: float = 0.999,
    radii: Sequence[Size] = (),
    tau: float = 0.75,
    attack: bool = True,
    steps: int = 20,
    draws: int = 16,
    bounds: tuple[float, float] = (0.0, 1.0),
    preprocess: Callable[[Tensor], Tensor] | None = None,
    inferer: Inferer | None = None,
    defences: Sequence[Defence] = (),
    outputs: Outputs | None = None,
    output: str | int | None = None,
    task: Task | str | None = None,
    seed: int = 0,
    batch: int = 32,
) -> Certificates:
    """Certify a smoothed model, and attack the same one.

        found = palpate.certify(module, images, labels, sigma=0.25)
        print(found.describe())
        found.radius                      # (B,) certified L2 radius of each image

        found = palpate.certify(module, slices, masks, 12.5, bounds=(-1024, 3071), task=Segmentation(2))

    The smoothed model decides by the vote of the module's decisions for noisy copies of an image, N(0, sigma^2) in
    stored values. What is certified holds for it, not for the module alone. An image costs `select + samples` forward
    passes and, with an attack, at each radius `steps * draws` forward and backward passes and `samples` forward passes.

    Args:
        module: as in `palpate.attack`. A victim whose outermost defence is smoothing is not smoothed twice.
        images: (B, C, *spatial), stored values inside `bounds`.
        targets: (B,) integer classes, or what `task` expects: masks, findings.
        sigma: standard deviation of the noise in the units of `images`; a text is a share of the range, such as "5%".
        samples: noisy copies that say how probable a decision is.
        select: other noisy copies, which choose the decision.
        confidence: of each certificate.
        radii: L2 radii at which bounds are computed; multiples of sigma by default.
        tau: for masks: a pixel is certified at sigma * Phi^-1(tau) if its class has more than this probability.
        attack: also attack the smoothed model.
        steps: gradient steps of the attack at each radius.
        draws: noisy copies of each of its steps.
        bounds: lowest and highest value that an image can store.
        preprocess: differentiable map from stored values to the module's input.
        inferer: how the module is evaluated on whole images.
        defences: what stands around the module, as in `palpate.attack`; the noise is outside of them.
        outputs: what the module returns, as in `palpate.attack`.
        output: name or place of the output to use, as in `palpate.attack`.
        task: what the outputs mean; a classification by default. "segmentation" and "multilabel" are enough where the
            output says how many structures or findings there are.
        seed: makes the noise repeatable. The noise of an image depends on it and on the place of the image only.
        batch: noisy copies that are evaluated at once.

    Raises:
        InputError: images, targets, model or settings cannot be used, boxes among them; the text gives the fix.
    """
    with torch.inference_mode(False), torch.enable_grad():
        images = images_from(images)
        victim = victim_given(
            module, bounds, outputs, output, preprocess=preprocess, inferer=inferer, defences=defences
        )
        check_bounds(images, victim.bounds)
        task = task_named(task, victim, images)
        targets = labels_from(images, targets) if task is None else of_task(task, images, targets_from(images, targets))
        scale = Scale(victim.bounds, step=None, window=getattr(victim.preprocess, "window", None), known=True)
        settings = Settings(
            sigma=_size("sigma", sigma, scale), samples=samples, select=select, confidence=confidence, tau=tau,
            radii=tuple(_size("radii", one, scale) for one in radii), attack=attack, steps=steps, draws=draws,
        )  # fmt: skip
        task = looked_at(victim, images, targets, task, None, stated=outputs is not None)
        victim.defences = fitted(victim.defences, task)
        try:
            return _certified(unsmoothed(victim), task, images, targets, settings, seed, batch)
        except ModelError as error:
            raise refusal(error.cause, images.shape, "call") from error


def _certified(
    victim: Victim, task: Task, images: Tensor, targets: Tree, settings: Settings, seed: int, batch: int
) -> Certificates:
    before, forwards, backwards, found = victim.forwards, 0, 0, []
    with victim:
        for row in range(len(images)):
            own = derive(seed, "certificates", row)
            decisions = Decisions(voted(task), task.take(targets, torch.tensor([row], device=images.device)))
            attacker = Attacker(victim, decisions, settings, own) if settings.attack else None
            found.append(
                certify_image(
                    victim.judge, decisions, images[row : row + 1], settings, seed=own, chunks=together(batch),
                    opponent=attacker,
                )
            )  # fmt: skip
            forwards += attacker.forwards if attacker else 0
            backwards += attacker.backwards if attacker else 0
    return Certificates(settings.sigma, tuple(found), victim.forwards - before + forwards, backwards)


def _size(name: str, written: Any, scale: Scale) -> float:
    try:
        if isinstance(written, bool):
            raise TypeError
        return radius(written, scale)
    except (TypeError, ValueError) as error:
        why = f"{error}." if isinstance(written, str) else f"{written!r} is not a size."
        raise InputError(f'{name}: {why} Give a number of stored values, or a share of the range, "5%".') from error
