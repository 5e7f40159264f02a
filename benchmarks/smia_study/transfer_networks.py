"""Second architectures of three benchmarks, to which attacks transfer: ordinary trainings, as those of the examples.

`python -m benchmarks.smia_study.transfer_networks fundus_dr polyps covid_ct` trains what is missing in the cache.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from monai.networks.nets import DenseNet, SegResNet
from safetensors.torch import load_file, save_file
from torch import nn

from palpate import Preprocess

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
CACHE = ROOT / "benchmarks" / ".cache" / "smia_study"


def dense_net() -> nn.Module:
    """Five logits from colour images of 112 x 112 pixels: a small DenseNet of MONAI."""
    network: nn.Module = DenseNet(
        spatial_dims=2, in_channels=3, out_channels=5, init_features=24, growth_rate=12, block_config=(3, 4, 6, 4)
    )
    return network


def seg_res_net(channels: int) -> nn.Module:
    """One logit map from images with sides that are multiples of 8: a small SegResNet of MONAI, group norms."""
    network: nn.Module = SegResNet(spatial_dims=2, init_filters=8, in_channels=channels, out_channels=1)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "fundus_dr": dense_net,
    "covid_ct": lambda: seg_res_net(1),
    "polyps": lambda: seg_res_net(3),
}
NAMES = {"fundus_dr": "DenseNet", "covid_ct": "SegResNet", "polyps": "SegResNet"}


def weights_of(benchmark: str) -> Path:
    """The path of the weights of a benchmark's second network."""
    return CACHE / "weights" / f"{benchmark}_{NAMES[benchmark].lower()}.safetensors"


def network_of(benchmark: str) -> nn.Module:
    """The trained second network of a benchmark, trained first where the cache has none."""
    path = weights_of(benchmark)
    if not path.is_file():
        train(benchmark)
    network = NETWORKS[benchmark]()
    network.load_state_dict(load_file(path))
    return network.eval()


def example_module(benchmark: str, name: str) -> ModuleType:
    """`train` or `model` of an example, whose folders hold modules of the same names."""
    for stale in ("model", "train"):
        sys.modules.pop(stale, None)
    paths = [str(EXAMPLES / benchmark), str(EXAMPLES)]
    sys.path[:0] = paths
    try:
        return importlib.import_module(name)
    finally:
        for path in paths:
            sys.path.remove(path)


def train(benchmark: str, seed: int = 0) -> None:
    """Train a second network as the example trains its own, and store its weights."""
    training, example = example_module(benchmark, "train"), example_module(benchmark, "model")
    folder = EXAMPLES / benchmark / "data"
    if benchmark == "fundus_dr":
        network = training.train(folder, epochs=60, seed=seed, build=dense_net)
        kappa, accuracy = training.kappa(network, *training.load(folder, "test"))
        print(f"test kappa {kappa:.3f}  accuracy {accuracy:.3f}")
    else:
        loop, prepare = training.training, Preprocess(mean=(example.MEAN,), std=(example.STD,))
        epochs, batch = {"polyps": (40, 16), "covid_ct": (120, 8)}[benchmark]
        network = loop.train_2d(NETWORKS[benchmark], prepare, folder, epochs=epochs, batch=batch, rate=2e-3, seed=seed)
        print(f"test Dice {loop.mean_dice(network, prepare, *loop.images_and_masks(folder, 'test')):.3f}")
    weights_of(benchmark).parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), weights_of(benchmark))


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="+", choices=sorted(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for benchmark in options.benchmarks:
        network_of(benchmark)
        print(f"weights: {weights_of(benchmark)}")


if __name__ == "__main__":
    main()
