"""Memory and time of an attack's step on an nnU-Net, beside nnU-Net's own arithmetic.

    python -m benchmarks.nnunet                                # 48 voxels a side, seconds
    python -m benchmarks.nnunet --size 160 --patch 64 --features 16 --mirrors 0

Each figure is measured in its own process: CPU seconds, and peak resident memory with and without the imports.
Compared are

- predict: the decision alone, window by window, as `nnUNetPredictor` makes it (without a graph);
- bare: forward and backward of all windows and mirrors in a plain loop, one graph at a time, and nothing else;
- step: one step of an attack through the pipeline: logits, their loss, and the gradient of the image;
- step, nothing kept: the same with every pass computed once more, so that only one graph is in memory.

`PALPATE_GRAPHS=10` lets a step keep graphs of 10 GiB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from palpate.allocator import choose_allocation
from palpate.models.nnunet import windows
from palpate.models.nnunet.network import Folds
from palpate.models.nnunet.normalising import Normalisation
from palpate.models.nnunet.pipeline import NnUNet
from palpate.models.nnunet.resampling import Resampling
from palpate.models.nnunet.windows import Windows

HEADS = 3


class UNet(nn.Module):
    """Two levels of nnU-Net's plain U-Net: two convolutions with instance norm at each."""

    def __init__(self, features: int):
        super().__init__()
        self.fine, self.coarse = self.block(1, features), self.block(features, 2 * features, 2)
        self.up = nn.ConvTranspose3d(2 * features, features, 2, 2)
        self.merge, self.head = self.block(2 * features, features), nn.Conv3d(features, HEADS, 1)

    @staticmethod
    def block(before: int, after: int, stride: int = 1) -> nn.Sequential:
        """Two convolutions, each with norm and leaky ReLU."""
        layers: list[nn.Module] = []
        for channels, step in ((before, stride), (after, 1)):
            layers += [
                nn.Conv3d(channels, after, 3, step, 1),
                nn.InstanceNorm3d(after, affine=True),
                nn.LeakyReLU(1e-2, True),
            ]
        return nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a window."""
        fine = self.fine(images)
        logits: Tensor = self.head(self.merge(torch.cat([self.up(self.coarse(fine)), fine], 1)))
        return logits


def pipeline(options: argparse.Namespace) -> NnUNet:
    """A pipeline at the images' own spacing."""
    setting = Windows((options.patch,) * 3, tuple(range(options.mirrors)))
    same = (1.0, 1.0, 1.0)
    return NnUNet((0, 1, 2), same, setting, (Normalisation("z-score"),), Resampling(3), Resampling(1), of=same)


def subject(options: argparse.Namespace) -> tuple[NnUNet, Folds, Tensor]:
    """Pipeline, network and one image."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    network = Folds([UNet(options.features).eval().requires_grad_(False)])
    return pipeline(options), network, torch.randn(1, 1, *[options.size] * 3)


def predict(options: argparse.Namespace) -> None:
    """The decision alone."""
    deployed, network, image = subject(options)
    with torch.no_grad():
        deployed(image, network).argmax(1)


def bare(options: argparse.Namespace) -> None:
    """All passes forward and backward, and nothing else."""
    deployed, network, image = subject(options)
    for place in deployed.windows.places(image.shape[2:]):
        for axes in deployed.windows.flips:
            window = image[(slice(None), slice(None), *place)].flip(axes).requires_grad_()
            torch.autograd.grad(network.folds[0](window).sum(), window)


def step(options: argparse.Namespace) -> None:
    """One step of an attack."""
    deployed, network, image = subject(options)
    image.requires_grad_()
    logits = deployed(image, network)
    torch.autograd.grad(nn.functional.cross_entropy(logits, logits.detach().argmax(1)), image)


def frugal(options: argparse.Namespace) -> None:
    """The same without kept graphs."""
    windows.KEPT = 0
    os.environ.pop(windows.ROOM, None)
    step(options)


def measured(run: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> tuple[float, float, float]:
    """CPU seconds, peak MiB of resident memory, and those above the start, of a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (run, options))


def _measured(run: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> tuple[float, float, float]:
    choose_allocation(frugal=True)
    predict(argparse.Namespace(**{**vars(options), "size": 8, "patch": 8}))
    before, begin = _peak(), time.process_time()
    run(options)
    return time.process_time() - begin, _peak(), _peak() - before


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=48, help="voxels of the image along each axis")
    parser.add_argument("--patch", type=int, default=32, help="voxels of a window along each axis")
    parser.add_argument("--features", type=int, default=4, help="of the first level")
    parser.add_argument("--mirrors", type=int, default=0, help="axes that are mirrored")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print("| | CPU s | of bare | peak MiB | of predict | above the imports | of predict |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found = {run: measured(run, options) for run in (predict, bare, step, frugal)}
    for run, (seconds, peak, above) in found.items():
        name = {"frugal": "step, nothing kept"}.get(run.__name__, run.__name__)
        to_bare = seconds / found[bare][0]
        whole, own = peak / found[predict][1], above / found[predict][2]
        print(f"| {name} | {seconds:.1f} | {to_bare:.2f} | {peak:.0f} | {whole:.2f} | {above:.0f} | {own:.2f} |")


if __name__ == "__main__":
    main()
