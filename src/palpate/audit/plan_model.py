"""`[model]` of a plan: the model under test, and how it is evaluated."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from palpate.audit.plan_preprocess import PreprocessSection
from palpate.audit.sections import Section
from palpate.inference import Flips, SlidingWindow
from palpate.victim import Inferer


class InfererSection(Section):
    """`[model.inferer]`: how the clinic evaluates the network. The attack climbs exactly that."""

    size: tuple[int, ...] | None = Field(default=None, examples=["size = [96, 96, 96]"])
    """Sliding windows of this size; none evaluates the whole input at once."""
    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Share of a window that its neighbour covers too."""
    mode: Literal["gaussian", "constant"] = "gaussian"
    """How overlapping windows are blended."""
    batch: int = Field(default=1, ge=1)
    """Windows evaluated at once; memory grows with it."""
    sigma_scale: float = Field(default=0.125, gt=0)
    """Width of the Gaussian as a share of the window."""
    padding: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    """What surrounds inputs that are smaller than the window."""
    flips: tuple[tuple[int, ...], ...] = Field(default=(), examples=["flips = [[0], [1]]"])
    """Test-time augmentation: average with the input flipped along these spatial axes, flipped back."""
    average: Literal["logits", "softmax", "sigmoid"] = "logits"
    """What is averaged over the flips."""
    flipped: Literal["image", "windows"] = "image"
    """Whether the whole image is flipped before the windows slide, or every window by itself as nnU-Net does."""

    def build(self) -> Inferer | None:
        """The inferer that these fields describe; raises InputError where they cannot be used."""
        each = Flips(self.flips, average=self.average) if self.flips else None
        if self.size is None:
            return each
        inner = each if self.flipped == "windows" else None
        windows = SlidingWindow(
            self.size, self.overlap, self.mode, self.batch, self.sigma_scale, self.padding, inner=inner
        )
        return Flips(self.flips, windows, self.average) if self.flips and inner is None else windows


class ModelSection(Section):
    """`[model]`: the model under test. Name it by one of `factory`, `torchscript` and `exported`."""

    factory: str | None = Field(default=None, examples=['factory = "model.py:build"'])
    """`file.py:function` or `package.module:function`; the function returns the module."""
    torchscript: str | None = Field(default=None, examples=['torchscript = "model.ts"'])
    """A TorchScript file."""
    exported: str | None = Field(default=None, examples=['exported = "model.pt2"'])
    """A file that `torch.export.save` wrote."""
    weights: str | None = Field(default=None, examples=['weights = "weights.safetensors"'])
    """Weights for the factory's module: safetensors, or a file that loads with `weights_only`. Alone: a whole pickled
    module, which is loaded only where that is allowed explicitly."""
    arguments: dict[str, Any] = Field(default_factory=dict, examples=["arguments = {depth = 18}"])
    """Keyword arguments for the factory."""
    bounds: tuple[float, float] = Field(examples=["bounds = [0, 255]"])
    """Lowest and highest stored value of an image."""
    preprocess: PreprocessSection = PreprocessSection()
    """From stored values to the network's input."""
    inferer: InfererSection = InfererSection()
    """How the network is evaluated on that input."""
