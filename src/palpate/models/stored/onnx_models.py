"""ONNX files: a black box through onnxruntime, and a torch module through onnx2torch if gradients are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palpate.data.cases import listed
from palpate.errors import InputError, nearest
from palpate.models.blackbox import BlackBox
from palpate.models.stored.onnx_files import onnx_files, read_onnx

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
}
_FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")
_SLACK = 1e-3
"""The two ways to run a file may differ by this share of the largest output: they round differently."""


class OnnxModel(BlackBox):
    """An ONNX file run by onnxruntime on the CPU. It takes any number of images, for any exported batch size.

    Args:
        path: the file; weights next to it are read.
        output: which output is read, if there are several.

    Raises:
        InputError: the file cannot be run, takes several inputs, or has no such output; onnxruntime is missing.
    """

    kind = "an ONNX file"

    def __init__(self, path: Path, output: str | int | None = None):
        super().__init__()
        onnx_files(path)
        self.path, self.session = path, _session(path)
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES:
            found = listed([f"{entry.name}: {entry.type}" for entry in inputs], 5)
            raise InputError(
                f"model.onnx: {path} takes {found}, and palpate gives one tensor of images. Export it with one input."
            )
        self.input = inputs[0].name
        self.dtype: Any = _TYPES[inputs[0].type]
        self.shape = [size if isinstance(size, int) else None for size in inputs[0].shape]
        self.output = self.choose({entry.name: entry.type for entry in self.session.get_outputs()}, output)

    def choose(self, outputs: dict[str, str], wanted: str | int | None) -> str:
        """The name of the output that is read, of outputs and their types; InputError if there is no such output."""
        return _chosen(self.path, outputs, wanted)

    def answer(self, images: Tensor) -> Tensor:
        """The chosen output for images (B, C, *spatial); a file with a fixed batch gets batches of that size.

        Raises:
            InputError: the images do not have the shape that the file was exported for, or the file fails on them.
        """
        pixels = self.pixels(images)
        size = self.shape[0] or max(len(pixels), 1)
        parts = [self._run(pixels[start : start + size], size) for start in range(0, len(pixels), size)]
        return torch.from_numpy(np.concatenate(parts)).float()

    def pixels(self, images: Tensor) -> Any:
        """Images as the file takes them; InputError if they do not have the shape that it was exported for."""
        fixed = self.shape[1:]
        if len(images.shape) != len(self.shape) or any(
            want is not None and have != want for have, want in zip(images.shape[1:], fixed, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in fixed)
            raise InputError(
                f"model.onnx: {self.path} was exported for images of shape ({wanted}) and got "
                f"{tuple(images.shape[1:])}. Set preprocess.size and preprocess.channels, or export it again."
            )
        pixels = images.cpu().numpy()
        if np.issubdtype(self.dtype, np.integer):
            span = np.iinfo(self.dtype)
            pixels = np.rint(pixels).clip(span.min, span.max)
        return pixels.astype(self.dtype)

    def _run(self, pixels: Any, size: int) -> Any:
        count = len(pixels)
        if self.shape[0] is not None and count < size:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], size - count, axis=0)])
        (found,) = self.run([self.output], pixels)
        if found.ndim < 2 or len(found) != len(pixels):
            raise InputError(
                f"model.onnx: {self.path}: output {self.output} has shape {found.shape} for {len(pixels)} images, and "
                "palpate reads (images, scores). Name another one: output."
            )
        return found[:count]

    def run(self, outputs: list[str], pixels: Any) -> list[Any]:
        """Some outputs for one batch; InputError if the file fails on it."""
        try:
            found: list[Any] = self.session.run(outputs, {self.input: pixels})
        except Exception as error:  # onnxruntime's exceptions have no common base class
            what = " ".join(str(error).split())[:200]
            raise InputError(
                f"model.onnx: {self.path} fails on images of shape {pixels.shape[1:]} ({what})."
            ) from error
        return found


class OnnxGradients(nn.Module):
    """An ONNX file as a torch module. Its first outputs are compared with onnxruntime's for the same images.

    Args:
        path: the file; weights next to it are read.
        output: which output is read, if there are several.

    Raises:
        InputError: a package is missing, or the file has operators that cannot be turned into torch's.
    """

    def __init__(self, path: Path, output: str | int | None = None):
        super().__init__()
        self.reference: list[OnnxModel] = [OnnxModel(path, output)]
        self.path = path
        names = [entry.name for entry in self.reference[0].session.get_outputs()]
        self.place = names.index(self.reference[0].output) if len(names) > 1 else None
        self.network = _converted(path).eval()
        self.agreed = False

    def forward(self, images: Tensor) -> Tensor:
        """The chosen output, differentiable.

        Raises:
            InputError: on the first images, the module and onnxruntime disagree.
        """
        found = self.network(images)
        outputs: Tensor = found if self.place is None else found[self.place]
        if not self.agreed:
            self._compare(images.detach(), outputs.detach())
        return outputs

    def _compare(self, images: Tensor, outputs: Tensor) -> None:
        expected = self.reference[0].answer(images).to(outputs)
        if expected.shape != outputs.shape:
            difference = f"shapes {list(outputs.shape)} and {list(expected.shape)}"
        else:
            gap, size = float((outputs - expected).abs().max()), max(1.0, float(expected.abs().max()))
            if gap <= _SLACK * size:
                self.agreed = True
                return
            difference = f"outputs that differ by {gap:.3g}, of at most {size:.3g}"
        raise InputError(
            f"model.onnx_gradients: as a torch module {self.path} gives {difference}, compared with onnxruntime for "
            "the same images. Leave onnx_gradients out and audit it as a black box."
        )


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("model.onnx: ONNX files need a package. Install it: pip install 'palpate[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        what = " ".join(str(error).split())[:200]
        raise InputError(f"model.onnx: {path} cannot be run ({what}). Export it again.") from error


def _chosen(path: Path, outputs: dict[str, str], wanted: str | int | None) -> str:
    if isinstance(wanted, int):
        if not -len(outputs) <= wanted < len(outputs):
            raise InputError(f"model.output: {path} has {len(outputs)} outputs, counted from 0, and no {wanted}.")
        wanted = list(outputs)[wanted]
    if wanted is not None and wanted not in outputs:
        raise InputError(f"model.output: {path} has no output '{wanted}'. {nearest(wanted, outputs)}")
    if wanted is None and len(outputs) > 1:
        raise InputError(f"model.output: {path} has several: {listed(list(outputs), 8)}. Name the one with the scores.")
    name = wanted or next(iter(outputs))
    if outputs[name] not in _FLOATS:
        raise InputError(f"model.output: {path}: {name} is {outputs[name]}, not a tensor of scores. Name another one.")
    return name


def _converted(path: Path) -> nn.Module:
    try:
        import onnx2torch
    except ImportError as error:
        raise InputError(
            f"model.onnx_gradients: it needs a package ({error}). Install it: pip install onnx2torch torchvision."
        ) from error
    except (RuntimeError, AttributeError) as error:
        what = " ".join(str(error).split())[:150]
        raise InputError(
            f"model.onnx_gradients: onnx2torch cannot be imported ({what}). Install a torchvision that fits this torch."
        ) from error
    read_onnx(path)
    try:
        made: nn.Module = onnx2torch.convert(str(path))
    except Exception as error:  # an operator that onnx2torch does not know, a model that it cannot check
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"model.onnx_gradients: {path} cannot be turned into a torch module ({type(error).__name__}: {what}). "
            "Leave onnx_gradients out and audit it as a black box."
        ) from error
    return made
