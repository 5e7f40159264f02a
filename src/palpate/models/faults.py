"""Why a model fails on images: the cause that its exception shows, and what to change."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from palpate.errors import InputError

Where = Literal["plan", "call"]
"""Where a user describes the input of a model: in a plan, or in a call of `palpate.attack`."""

_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")
_CONVOLUTION = re.compile(r"weight of size \[([\d, ]+)\], expected input\[([\d, ]+)\]")
_WANTED = re.compile(r"missing \d+ required (?:positional |keyword-only )?arguments?: (.*)")


@dataclass(frozen=True)
class _Cause:
    """The text of an exception, and what fixes it in a plan and in a call."""

    says: str
    plan: str
    call: str = ""


_CAUSES = (
    _Cause(
        r"not compiled with CUDA|no NVIDIA driver|No CUDA GPUs|CUDA driver|same device|expected device|"
        r"is on cuda|CUDA error|Cannot access accelerator|not linked with support for (cuda|mps)",
        "Its code chooses a device (.cuda() or .to(...)). Remove that: palpate moves model and images to "
        "run.device. New tensors in forward take the device of the image.",
        "Give model, images and targets on one device, and let forward take the device of the image for new tensors.",
    ),
    _Cause(
        r"expected (m1 and m2|scalar type|mat1 and mat2)|same dtype|should be the same|c10::Half|BFloat16|"
        r"Input type \(|not implemented for '?(Half|BFloat16)|dtype",
        "A part of it computes in another number format than the rest (.half(), .double(), .bfloat16() in its code). "
        "Build it in float32: call .float() in the factory and remove the other format.",
        "A part of it computes in another number format than the rest. Call .float() on the model and remove the "
        "other format from its code.",
    ),
    _Cause(
        r"takes \d+ positional arguments? but \d+ w",
        "palpate calls model(images). Wrap it in a factory that returns a module with forward(self, images).",
        "palpate calls model(images). Wrap it in a module with forward(self, images).",
    ),
    _Cause(
        r"more than 1 (value per channel|spatial element) when training",
        "A normalisation runs in training mode inside forward. Remove .train() or training=True there; palpate calls "
        ".eval() itself.",
    ),
    _Cause(
        r"numpy\(\) on Tensor that requires grad",
        "It computes with numpy inside forward, and no gradient flows through numpy. Write it with torch, or use "
        "attacks that need no gradient: square, hopskipjump, noise.",
    ),
    _Cause(
        r"Inference tensors",
        "It was made under torch.inference_mode, which forbids gradients permanently. Build it outside.",
    ),
    _Cause(
        r'missing the required "forward" function',
        "It has no forward. Give the module that computes the output.",
    ),
    _Cause(
        r"mat1 and mat2 shapes|invalid for input of size|size of tensor a|Sizes of tensors must match|"
        r"[Kk]ernel size can't be greater|utput size is too small|doesn't match model|must be divisible|"
        r"[Ii]nput (image )?(size|height|width)|shapes? cannot be multiplied|size mismatch|must match the size",
        "It was built for images of another size. Correct preprocess.size: height and width of the training.",
        "It was built for images of another size. Resize them in preprocess.",
    ),
    _Cause(
        r"allocate memory|out of memory",
        "There is not enough memory. Lower run.batch, or the size of the images.",
        "There is not enough memory. Give fewer images at once.",
    ),
)


_GIVE: dict[Where, str] = {
    "plan": "Take it from columns of the table: [model.inputs].",
    "call": 'Give it with inputs={"name": rows}, one row for each image.',
}
"""Where a model's further inputs come from."""


def refusal(error: BaseException, shape: Sequence[int], where: Where = "plan") -> InputError:
    """The refusal of a model that raised an exception, in one sentence with the fix that fits its cause.

    Args:
        error: what it raised.
        shape: of the images of its input images, (B, C, *spatial).
        where: in a plan, or in a call.
    """
    text = str(error)
    if axes := _axes_of_convolution(text, shape):
        return InputError(_other_dimension(shape, axes, where))
    if found := re.search(r"Expected \dD \(unbatched\) or (\d)D \(batched\) input", text):
        return InputError(_other_dimension(shape, int(found[1]) - 2, where))
    if found := _CHANNELS.search(text):
        return InputError(_other_channels(int(found[1]), int(found[2]), shape, where))
    said = f"model: it fails on images of shape {list(shape)}: {type(error).__name__}: {first_line(error)}."
    if isinstance(error, TypeError) and (found := _WANTED.search(text)):
        wraps = "Or wrap it in a factory" if where == "plan" else "Or wrap it"
        return InputError(
            f"{said} It was not given {found[1]}. {_GIVE[where]} {wraps}: a module whose forward(self, images) fills "
            "it in."
        )
    for cause in _CAUSES:
        if re.search(cause.says, text):
            return InputError(f"{said} {cause.call if where == 'call' and cause.call else cause.plan}")
    last = "Correct preprocess.size, preprocess.channels or the model."
    if where == "call":
        grey = "Grey images (B, H, W) need an axis for the channels: images[:, None]."
        last = grey if len(shape) == 3 else "Correct the images or the model."
    return InputError(f"{said} palpate calls model(images) in evaluation mode; try this on this shape. {last}")


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, without a full stop."""
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")


def _axes_of_convolution(text: str, shape: Sequence[int]) -> int:
    """Number of spatial axes of the convolution that refused the images, if it differs from theirs; otherwise 0."""
    found = _CONVOLUTION.search(text)
    if found is None:
        return 0
    weight, given = ([int(size) for size in sizes.split(",")] for sizes in found.groups())
    return len(weight) - 2 if len(weight) != len(shape) and math.prod(given) == math.prod(shape) else 0


def _other_channels(expected: int, given: int, shape: Sequence[int], where: Where) -> str:
    fix = "Choose images and a model that fit each other"
    if where == "plan":
        fix = f"{fix}; preprocess.channels repeats grey, or turns RGB into grey."
        if (expected, given) == (1, 3):
            fix = "Turn RGB into grey: preprocess.channels = 1."
        elif given == 1:
            fix = f"Repeat the grey image: write channels = {expected} in [model.preprocess]."
    elif shape[-1] == expected and len(shape) == 4:
        fix = "The channels come last in these images: images.permute(0, 3, 1, 2)."
    else:
        fix = f"Repeat the grey image in preprocess, {expected} times." if given == 1 else f"{fix}."
    return f"model: it expects images of {expected} channels and was given {given}. {fix}"


def _other_dimension(shape: Sequence[int], axes: int, where: Where) -> str:
    expects = (
        f"model: it is a network for {axes}D images, [B, C, {', '.join('DHW'[3 - axes :] if axes < 4 else '...')}]"
    )
    given = f"{expects}, and was given images of shape {list(shape)}."
    if where == "call" and len(shape) == axes + 1 and shape[1] > 3:
        return f"{given} Add the axis of the channels: images[:, None]."
    if len(shape) > axes + 2:
        return f"{given} Audit single slices, or choose a network for volumes."
    return f"{given} Audit volumes, or choose a network for {len(shape) - 2}D images."
