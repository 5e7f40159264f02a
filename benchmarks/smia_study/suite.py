"""The benchmarks of the study: each a victim, its images, radii, and what happens to images.

They are built from the plans of the examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.smia_study.transfer_networks import EXAMPLES, NAMES
from palpate.victim import Tuning

FLAT = ("8bit", "jpeg90", "jpeg75", "half", "blur1")
VOLUMES = ("8bit", "half", "blur1")


@dataclass(frozen=True)
class Benchmark:
    """One victim on one set of images.

    Attributes:
        name: what the study calls it.
        folder: folder of the example's `plan.toml`.
        words: what is shown of it in tables.
        eps: the study's radii in stored values, rising; the ablation uses the last one.
        scan: radii of the scan on all validation images from which `eps` was chosen.
        images: at most so many test images.
        trials: at most so many validation images in the ablation.
        batch: images attacked at once.
        milliseconds: of one thread for a forward and a backward pass of one image; only for estimates.
        tuning: how searches evaluate the victim; fixed, since timing could choose differently in two runs.
        handlings: what happens to images after the attack.
        test: lines of the table that are tested on.
        validation: lines that choices are made on.
        splits: splits that validation takes in where lines cannot say it: of CT the training slices too.
        victim: the network that is attacked: the example's own, or its second one.
        second: whether adversarial images are shown to the other network of the example.
        image: what one image is called.
        turn: when its turn comes, 0 first.
        beyond: radii above that range, where nearly all falls before saving and what survives tells attacks apart;
            tier 0 with one seed.
        seeds: how many seeds attacks that draw get, by tier; a tier with none is not run there.
    """

    name: str
    folder: Path
    words: str
    eps: tuple[float, ...]
    scan: tuple[float, ...]
    images: int
    trials: int
    batch: int
    milliseconds: float
    tuning: Tuning = Tuning(layout="channels_last", fold=True)
    handlings: tuple[str, ...] = FLAT
    test: tuple[tuple[str, str], ...] = (("split", "test"),)
    validation: tuple[tuple[str, str], ...] = (("split", "val"),)
    splits: tuple[str, ...] = ()
    victim: str = "first"
    second: bool = False
    image: str = "image"
    turn: int = 0
    beyond: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (3, 3)


_PLAIN = Tuning(fold=True)
_HALF = Tuning(layout="channels_last", fold=True, search="bfloat16", forward_no_grad="bfloat16")
_FUNDUS_SCAN = (0.25, 0.5, 0.75, 1.0)
BENCHMARKS = (
    Benchmark(
        "fundus_dr",
        EXAMPLES / "fundus_dr",
        "DR grades, ResNet-18",
        eps=(0.5,),
        scan=_FUNDUS_SCAN,
        images=239,
        trials=40,
        batch=20,
        milliseconds=7.7,
        second=True,
    ),
    Benchmark(
        "covid_ct",
        EXAMPLES / "covid_ct",
        "CT infection, U-Net",
        eps=(4.0,),
        beyond=(8.0,),
        scan=(1.0, 2.0, 4.0, 5.0, 6.0, 8.0),
        images=48,
        trials=16,
        batch=8,
        milliseconds=21,
        validation=(),
        splits=("val", "train"),
        second=True,
        image="slice",
    ),
    Benchmark(
        "polyps",
        EXAMPLES / "polyps",
        "polyp masks, U-Net",
        eps=(1.0,),
        scan=(0.25, 0.5, 1.0, 2.0),
        images=120,
        trials=30,
        batch=16,
        milliseconds=10,
        second=True,
    ),
    Benchmark(
        "polyp_boxes",
        EXAMPLES / "polyp_boxes",
        "polyp boxes, detector",
        eps=(1.0,),
        scan=(0.25, 0.5, 1.0, 2.0),
        images=40,
        trials=40,
        batch=10,
        milliseconds=20,
        tuning=_PLAIN,
        turn=1,
        seeds=(3, 1),
    ),
    Benchmark(
        "hippocampus",
        EXAMPLES / "hippocampus",
        "hippocampus volumes, 3D U-Net",
        eps=(6.0,),
        scan=(1.0, 3.0, 6.0, 12.0),
        images=12,
        trials=7,
        batch=4,
        milliseconds=120,
        tuning=_PLAIN,
        handlings=VOLUMES,
        image="volume",
        turn=1,
        seeds=(3, 1),
    ),
    Benchmark(
        "fundus_dr_densenet",
        EXAMPLES / "fundus_dr",
        "DR grades, DenseNet",
        eps=(0.5,),
        scan=_FUNDUS_SCAN,
        images=60,
        trials=40,
        batch=20,
        milliseconds=9,
        victim="second",
        second=True,
        turn=2,
        seeds=(3, 1),
    ),
    Benchmark(
        "vessels",
        EXAMPLES / "vessels",
        "vessels, foreign W-Net",
        eps=(1.0,),
        scan=(0.5, 0.7, 0.8, 1.0),
        images=4,
        trials=4,
        batch=2,
        milliseconds=350,
        tuning=_HALF,
        test=(("dataset", "DRIVE"), ("split", "test")),
        validation=(("dataset", "CHASE_DB1"),),
        turn=3,
        seeds=(1, 0),
    ),
)
"""In the order of their worth; `fundus_dr_densenet` is the second network of `fundus_dr` as a separate victim."""


def benchmark_of(name: str) -> Benchmark:
    """The benchmark of this name."""
    return {benchmark.name: benchmark for benchmark in BENCHMARKS}[name]


def second_name(benchmark: Benchmark) -> str | None:
    """What the network is called to which attacks transfer."""
    if not benchmark.second:
        return None
    return NAMES[benchmark.folder.name] if benchmark.victim == "first" else "ResNet-18"
