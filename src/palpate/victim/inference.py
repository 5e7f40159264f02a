"""How the clinic evaluates a network on inputs that are larger than its window: part of what is attacked.

Inferers are values: they can be named in a plan, compared and hashed. Each computes one function of the whole input,
the same for a verdict and for the search, and returns its exact gradient with only one piece of the work in memory at
a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from palpate.allocator import trim_freed_memory
from palpate.errors import InputError
from palpate.tensors import shown

Network = Callable[[Tensor], Any]
Blending = Literal["gaussian", "constant"]
Padding = Literal["constant", "reflect", "replicate", "circular"]
Average = Literal["logits", "softmax", "sigmoid"]


class _Inner(Protocol):
    def __call__(self, inputs: Tensor, network: Network) -> Any: ...

    def example(self, inputs: Tensor) -> Tensor: ...

    def describe(self) -> str: ...


@dataclass(frozen=True)
class SlidingWindow:
    """MONAI's sliding windows: logits of overlapping windows f(x_k), blended by a window of weights w.

        out(v) = sum_k w(v - o_k) f(x_k)(v - o_k) / sum_k w(v - o_k)        o_k: where window k begins

    Verdicts are `monai.inferers.sliding_window_inference`, bit for bit. For the search the same call is made without a
    graph; its gradient is accumulated window by window, each evaluated once more (`_Stitched`), so that memory is
    bounded by the graph of `batch` windows. That costs one more forward pass of every window.

    Inputs smaller than the window are padded as in MONAI, evenly on both sides, and the output is cropped.

    Attributes:
        size: window in pixels along each spatial axis.
        overlap: share of the window that neighbours have in common, from 0 to below 1.
        mode: weights, `gaussian` or `constant`.
        batch: windows per pass of the network.
        sigma_scale: width of the Gaussian as a share of the window.
        padding: what surrounds inputs that are smaller than the window; `constant` is 0 after preprocessing.
        inner: how each window is evaluated: `Flips` flips every window as nnU-Net does; in one pass by default.

    Raises:
        InputError: settings that are not valid for a window.
    """

    size: tuple[int, ...]
    overlap: float = 0.5
    mode: Blending = "gaussian"
    batch: int = 1
    sigma_scale: float = 0.125
    padding: Padding = "constant"
    inner: Flips | None = None

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3) or any(isinstance(n, bool) or not isinstance(n, int) for n in self.size):
            raise InputError(f"inferer.size: {self.size} must be 2 or 3 whole numbers of pixels, such as (96, 96, 96).")
        if min(self.size) < 1:
            raise InputError(f"inferer.size: {self.size} must be at least 1 pixel along every axis.")
        if not 0 <= self.overlap < 1:
            raise InputError(f"inferer.overlap: {self.overlap:g} must be at least 0 and below 1.")
        if self.batch < 1:
            raise InputError(f"inferer.batch: {self.batch} must be at least 1 window.")
        if not 0 < self.sigma_scale < float("inf"):
            raise InputError(f"inferer.sigma_scale: {self.sigma_scale:g} must be above 0.")
        _one_of("inferer.mode", self.mode, Blending)
        _one_of("inferer.padding", self.padding, Padding)

    def __call__(self, inputs: Tensor, network: Network) -> Tensor:
        """Blended logits (B, K, *spatial) for inputs (B, C, *spatial), differentiable if inputs require a gradient.

        Raises:
            InputError: inputs and window differ in their dimensions, the input is too small for the padding, or the
                network does not return one map of logits on the grid of its window.
        """
        margins = self._margins(inputs)
        evaluate = self._evaluated(network)
        wanted = torch.is_grad_enabled() and inputs.requires_grad
        one_pass = len(inputs) <= self.batch and all(n <= w for n, w in zip(inputs.shape[2:], self.size, strict=True))
        # Weights in training need their gradients too, and only the whole graph has them.
        trained = isinstance(network, nn.Module) and any(p.requires_grad for p in network.parameters())
        if not wanted or one_pass or trained:
            return self._monai(inputs, lambda windows, _: evaluate(windows))
        padded = F.pad(inputs, margins, mode=self.padding) if any(margins) else inputs
        outputs: Tensor = _Stitched.apply(padded, self, evaluate)  # type: ignore[no-untyped-call]
        for axis, length in enumerate(inputs.shape[2:] if any(margins) else (), start=2):
            outputs = outputs.narrow(axis, margins[2 * (inputs.ndim - 1 - axis)], length)
        return outputs

    def example(self, inputs: Tensor) -> Tensor:
        """One window of `inputs` (1, C, *size)."""
        margins = self._margins(inputs)
        padded = F.pad(inputs[:1], margins, mode=self.padding) if any(margins) else inputs[:1]
        for axis, length in enumerate(self.size, start=2):
            padded = padded.narrow(axis, 0, length)
        return padded.contiguous() if self.inner is None else self.inner.example(padded.contiguous())

    def describe(self) -> str:
        """The windows in a phrase."""
        size = " x ".join(str(n) for n in self.size)
        blending = "Gaussian" if self.mode == "gaussian" else "equal"
        each = "" if self.inner is None else f", each window by {self.inner.describe()}"
        return f"sliding windows of {size}, overlap {self.overlap:g}, {blending} weights{each}"

    def weights(self, like: Tensor) -> Tensor:
        """The weights of one window (1, 1, *size), of the type and on the device of `like`."""
        # Loading MONAI takes seconds, and reading a plan does not need it.
        from monai.data.utils import compute_importance_map

        weights: Tensor = compute_importance_map(
            self.size, mode=self.mode, sigma_scale=self.sigma_scale, device=like.device, dtype=like.dtype
        )
        return weights[None, None]

    def _monai(self, inputs: Tensor, evaluate: Callable[[Tensor, Any], Tensor]) -> Tensor:
        from monai.inferers.utils import sliding_window_inference

        outputs = sliding_window_inference(
            inputs,
            self.size,
            self.batch,
            evaluate,
            overlap=self.overlap,
            mode=self.mode,
            sigma_scale=self.sigma_scale,
            padding_mode=self.padding,
            with_coord=True,
        )
        assert isinstance(outputs, Tensor)
        return outputs

    def _evaluated(self, network: Network) -> Callable[[Tensor], Tensor]:
        def evaluate(windows: Tensor) -> Tensor:
            outputs = network(windows) if self.inner is None else self.inner(windows, network)
            if not isinstance(outputs, Tensor) or outputs.shape[2:] != windows.shape[2:]:
                found = list(outputs.shape) if isinstance(outputs, Tensor) else shown(outputs)
                raise InputError(
                    f"inferer: sliding windows blend maps of logits on the grid of the window, and for windows of shape"
                    f" {list(windows.shape)} the model returned {found}. Name the tensor (B, K, *window) in "
                    "model.output, wrap the model so that it returns one, or leave out the inferer."
                )
            # MONAI writes into its input, which the network may still need, or which may be the images themselves.
            return outputs.to(windows.dtype, copy=True)

        return evaluate

    def _margins(self, inputs: Tensor) -> list[int]:
        """Padding in the order of `F.pad`, last axis first, as in MONAI."""
        spatial = inputs.shape[2:]
        if len(spatial) != len(self.size):
            raise InputError(
                f"inferer.size: windows of {len(self.size)} axes cannot slide over images of {len(spatial)} "
                f"(shape {list(inputs.shape)}). Give one length per spatial axis."
            )
        margins = []
        for length, window in zip(reversed(spatial), reversed(self.size), strict=True):
            missing = max(window - length, 0)
            margins += [missing // 2, missing - missing // 2]
            room = {"reflect": length - 1, "circular": length}.get(self.padding, missing)
            if margins[-1] > room:
                raise InputError(
                    f"inferer.padding: '{self.padding}' cannot pad {length} pixels to a window of {window}. "
                    "Use 'constant' or 'replicate', or a smaller window."
                )
        return margins


class _Stitched(torch.autograd.Function):
    """MONAI's blend of windows, whose gradient is accumulated window by window.

    Blending is linear in the windows' outputs. With the gradient u of a loss with respect to the blend, each window
    gives J_k^T [w u / sum_j w_j] at its place: one window at a time is evaluated again, differentiated, and freed.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, windows: SlidingWindow, evaluate: Callable[[Tensor], Tensor]) -> Tensor:
        places: list[list[tuple[slice, ...]]] = []

        def recorded(batch: Tensor, coordinates: list[list[slice]]) -> Tensor:
            places.append([tuple(place) for place in coordinates])
            return evaluate(batch)

        ctx.save_for_backward(inputs)
        kind = inputs.device.type
        ctx.autocast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
        ctx.windows, ctx.evaluate, ctx.places = windows, evaluate, places
        return windows._monai(inputs, recorded)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (inputs,) = ctx.saved_tensors
        weights = ctx.windows.weights(inputs)
        total = _total_weight(weights, ctx.places, inputs)
        gradient = torch.zeros_like(inputs, memory_format=torch.contiguous_format)
        for places in ctx.places:
            parts = torch.cat([slope[place] / total[(slice(None), *place[1:])] * weights for place in places])
            # A window that the loss does not use needs no pass.
            if bool(parts.any()):
                for place, part in zip(places, _pulled_back(ctx, inputs, places, parts), strict=True):
                    gradient[place][0] += part
            trim_freed_memory()
        return gradient, None, None


def _pulled_back(ctx: Any, inputs: Tensor, places: list[tuple[slice, ...]], slope: Tensor) -> Tensor:
    """J^T slope for one batch of windows; its graph is freed on return."""
    kind, dtype, enabled = ctx.autocast
    batch = torch.cat([inputs[place] for place in places]).requires_grad_()
    with torch.enable_grad(), torch.autocast(kind, dtype=dtype, enabled=enabled):
        outputs = ctx.evaluate(batch)
    return torch.autograd.grad(outputs, batch, slope)[0]


def _total_weight(weights: Tensor, places: list[list[tuple[slice, ...]]], inputs: Tensor) -> Tensor:
    total = inputs.new_zeros(1, 1, *inputs.shape[2:])
    for place in (place for batch in places for place in batch if place[0].start == 0):
        total[place] += weights
    return total


@dataclass(frozen=True)
class Flips:
    """Test-time augmentation: the average over the image as it is and its flips, each flipped back.

        out = mean_k F_k f(F_k x)        F_0 the identity, F_k a flip along the axes of entry k

    For `softmax` and `sigmoid` probabilities are averaged, and the logits of the average are returned:
    log mean softmax, or the logit of the mean sigmoid. The attack uses the average. Each flip is evaluated once more
    for its gradient, so that only the graph of one is in memory. A classifier's logits (B, K) are averaged as they are.

    Attributes:
        axes: for each flip the spatial axes, from 0: ((0,), (1,), (0, 1)) are the three flips of a 2D image.
        inner: how each flipped image is evaluated; in one pass by default.
        average: what is averaged.

    Raises:
        InputError: no flip, the same flip twice, or an axis that images cannot have.
    """

    axes: tuple[tuple[int, ...], ...]
    inner: SlidingWindow | None = None
    average: Average = "logits"

    def __post_init__(self) -> None:
        if not self.axes:
            raise InputError("inferer.flips: no flip is given, such as ((0,), (1,)). Leave the inferer out instead.")
        for flip in self.axes:
            if not flip or any(axis not in (0, 1, 2) for axis in flip) or len(set(flip)) < len(flip):
                raise InputError(f"inferer.flips: {flip} must name spatial axes, 0 to 2, each once.")
        if len({frozenset(flip) for flip in self.axes}) < len(self.axes):
            raise InputError(f"inferer.flips: {self.axes} has the same flip twice. Remove one.")
        if isinstance(self.inner, SlidingWindow) and self.inner.inner is not None:
            raise InputError("inferer.flips: the windows inside are flipped already. Flip the image or the windows.")
        _one_of("inferer.average", self.average, Average)

    def __call__(self, inputs: Tensor, network: Network) -> Tensor:
        """Averaged logits for inputs (B, C, *spatial), differentiable if inputs require a gradient.

        Raises:
            InputError: an axis that the images do not have, or a network that does not return one tensor of logits.
        """
        highest = max(axis for flip in self.axes for axis in flip)
        if highest >= inputs.ndim - 2:
            raise InputError(
                f"inferer.flips: axis {highest} does not exist in images with {inputs.ndim - 2} spatial axes, which "
                f"are 0 to {inputs.ndim - 3}."
            )
        flips = [(), *self.axes]
        votes: list[Tensor] | None = None
        for flip in flips:
            found = self._votes(self._seen(inputs, [axis + 2 for axis in flip], network))
            votes = found if votes is None else [self._added(a, b) for a, b in zip(votes, found, strict=True)]
        assert votes is not None
        if self.average == "logits":
            return votes[0] / len(flips)
        if self.average == "softmax":
            return votes[0] - torch.tensor(float(len(flips))).log().to(votes[0])
        return votes[0] - votes[1]

    def example(self, inputs: Tensor) -> Tensor:
        """One image, or one window of it."""
        return inputs[:1] if self.inner is None else self.inner.example(inputs)

    def describe(self) -> str:
        """The average in a phrase."""
        what = "logits" if self.average == "logits" else "probabilities"
        flips = ", ".join("+".join(str(axis) for axis in flip) for flip in self.axes)
        inside = "" if self.inner is None else f", each by {self.inner.describe()}"
        return f"the average of {what} over the image and its flips (axes {flips}){inside}"

    def _seen(self, inputs: Tensor, axes: list[int], network: Network) -> Tensor:
        """Logits of one flip, flipped back."""

        def evaluate(images: Tensor) -> Tensor:
            outputs = network(images) if self.inner is None else self.inner(images, network)
            if not isinstance(outputs, Tensor):
                raise InputError(
                    f"inferer.flips: logits are averaged, and the model returned {shown(outputs)}. Name one "
                    "tensor in model.output, wrap the model so that it returns one, or leave out the inferer."
                )
            return outputs.to(images.dtype)

        flipped = inputs.flip(axes) if axes else inputs
        # Windows keep no graph.
        recompute = self.inner is None and torch.is_grad_enabled() and flipped.requires_grad
        outputs: Tensor = checkpoint(evaluate, flipped, use_reentrant=False) if recompute else evaluate(flipped)
        return outputs.flip(axes) if axes and outputs.ndim == inputs.ndim else outputs

    def _votes(self, logits: Tensor) -> list[Tensor]:
        if self.average == "softmax":
            return [logits.log_softmax(1)]
        return [F.logsigmoid(logits), F.logsigmoid(-logits)] if self.average == "sigmoid" else [logits]

    def _added(self, votes: Tensor, more: Tensor) -> Tensor:
        return votes + more if self.average == "logits" else torch.logaddexp(votes, more)


def _one_of(name: str, value: str, kind: Any) -> None:
    allowed = get_args(kind)
    if value not in allowed:
        raise InputError(f"{name}: '{value}' is not one of {', '.join(allowed)}.")
