"""Speed on a GPU as ratios, on one card in one command of under five minutes: `python -m benchmarks.gpu`.

PGD where no sample falls, on a ResNet-18 with random weights, over the floor (forward and backward passes alone, frozen
parameters, nothing tuned) and over torchattacks, if it is installed. Beside it what each choice of the search is worth
on this card: channels last with folded batch norms, TF32, bfloat16, `torch.compile` and CUDA graphs; and whether images
in pinned memory reach the card sooner. `--device cpu --size 32 --batch 4 --steps 3` tries the command itself.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from monai.networks.nets import resnet18
from torch import Tensor, nn

from benchmarks.measure import Contender, race, ratio, say
from benchmarks.rivals import RIVALS
from palpate import Classification, Linf, Tuning, Victim
from palpate.attacks import recipes
from palpate.victim.folding import copied, fold_batch_norms
from palpate.victim.tuning import choose

EPS, CLASSES = 1e-6, 5
LONGEST = 240.0
"""Seconds after which no further round begins."""


class Bench:
    """A network, images with the labels that it gives them, and how often they are passed through it."""

    def __init__(self, device: torch.device, size: int, batch: int, steps: int):
        torch.manual_seed(0)
        network = resnet18(spatial_dims=2, n_input_channels=3, num_classes=CLASSES, conv1_t_stride=2)
        self.model: nn.Module = network.eval().to(device).requires_grad_(False)
        self.images = torch.rand(batch, 3, size, size).to(device)
        self.device, self.steps = device, steps
        with torch.no_grad():
            self.labels = self.model(self.images).argmax(1)
        folded = fold_batch_norms(copied(self.model), self.images[:1])
        self.tuned = folded.to(memory_format=torch.channels_last)
        self.laid = self.images.contiguous(memory_format=torch.channels_last)

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def passes(self, model: nn.Module, images: Tensor) -> None:
        """What no attack can avoid, `steps` times."""
        for _ in range(self.steps):
            place = images.detach().requires_grad_()
            torch.autograd.grad(nn.functional.cross_entropy(model(place).float(), self.labels), place)
        self.wait()

    def ours(self, tuning: Tuning) -> None:
        """A whole attack in which every sample runs all steps."""
        attack = recipes.pgd(Linf(EPS), steps=self.steps)
        result = attack(Victim(self.model, (0, 1), tuning=tuning), Classification(CLASSES), self.images, self.labels)
        self.wait()
        if bool(result.success.any()):
            say("  (a sample fell: the ratio is too low)")

    def torchattacks(self, model: nn.Module, images: Tensor) -> None:
        """The peer's PGD with the same number of steps."""
        RIVALS["torchattacks"].run(model, images, self.labels, EPS, self.steps)
        self.wait()


@contextmanager
def tf32() -> Iterator[None]:
    """Convolutions and products of matrices in TF32."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = True
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def floors(bench: Bench) -> list[Contender]:
    """The passes alone in each way of computing them."""

    def bfloat16() -> None:
        with torch.autocast(bench.device.type, dtype=torch.bfloat16):
            bench.passes(bench.tuned, bench.laid)

    def in_tf32() -> None:
        with tf32():
            bench.passes(bench.tuned, bench.laid)

    found = [
        Contender("floor: passes alone", lambda: bench.passes(bench.model, bench.images)),
        Contender("passes: channels last, folded", lambda: bench.passes(bench.tuned, bench.laid)),
        Contender("passes: the same in bfloat16", bfloat16),
    ]
    if bench.device.type == "cuda":
        compiled = torch.compile(bench.tuned)
        graphs = torch.compile(bench.tuned, mode="reduce-overhead")
        found += [
            Contender("passes: channels last, folded, TF32", in_tf32),
            Contender("passes: the same compiled, float32", lambda: bench.passes(compiled, bench.laid)),
            Contender("passes: the same in CUDA graphs, float32", lambda: bench.passes(graphs, bench.laid)),
        ]
    return found


def attacks(bench: Bench) -> list[Contender]:
    """Our attack as it is given, as its settings are chosen, and the peer."""
    chosen = {mixed: choose(Victim(bench.model, (0, 1)), bench.images, mixed=mixed) for mixed in (False, True)}
    for mixed, tuning in chosen.items():
        say(f"chosen with precision {'mixed' if mixed else 'float32'}: {tuning}")
    found = [
        Contender("palpate, exact", lambda: bench.ours(Tuning())),
        Contender("palpate, chosen", lambda: bench.ours(replace(chosen[False], forward_no_grad="float32"))),
        Contender("palpate, chosen, mixed precision", lambda: bench.ours(chosen[True])),
    ]
    if RIVALS["torchattacks"].available():
        found += [
            Contender("torchattacks", lambda: bench.torchattacks(bench.model, bench.images)),
            Contender("torchattacks, tuned by hand", lambda: bench.torchattacks(bench.tuned, bench.laid)),
        ]
    return found


def usable(contenders: list[Contender]) -> list[Contender]:
    """Those that run on this card; each runs once, which warms it up."""
    found = []
    for contender in contenders:
        try:
            contender.work()
        except Exception as error:
            say(f"  {contender.name} does not run here: {type(error).__name__}: {str(error).splitlines()[:1]}")
        else:
            found.append(contender)
    return found


def copying(bench: Bench) -> None:
    """Print how long a batch takes to reach the card, from ordinary and from pinned memory, beside one step."""
    plain = torch.rand_like(bench.images, device="cpu")
    pinned = plain.pin_memory()

    def milliseconds(work: Callable[[], object]) -> float:
        taken = []
        for _ in range(20):
            begin = time.perf_counter()
            work()
            bench.wait()
            taken.append(1000 * (time.perf_counter() - begin))
        return min(taken)

    ordinary = milliseconds(lambda: plain.to(bench.device))
    sooner = milliseconds(lambda: pinned.to(bench.device, non_blocking=True))
    print(f"\nA batch reaches the card in {ordinary:.2f} ms, from pinned memory in {sooner:.2f} ms.")


def main() -> None:
    """Race, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--size", type=int, default=224, help="pixels of a side")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here. Use --device cpu to try the command itself.")
    begin = time.perf_counter()
    bench = Bench(torch.device(options.device), options.size, options.batch, options.steps)
    passes, whole = usable(floors(bench)), usable(attacks(bench))
    for _ in range(options.rounds):
        if time.perf_counter() - begin < LONGEST:
            race(passes + whole, 1)
    card = torch.cuda.get_device_name() if options.device == "cuda" else "the processor"
    print(f"PGD-{options.steps}, {options.batch} x 3 x {options.size} x {options.size}, on {card}, "
          f"torch {torch.__version__}; milliseconds of a step, and ratios of whole attacks.\n")  # fmt: skip
    peer = next((one for one in whole if one.name == "torchattacks"), None)
    print("| | ms a step | over the floor | over torchattacks |\n| --- | --- | --- | --- |")
    for one in passes + whole:
        over = "" if peer is None else f"{ratio(one, peer):.2f}"
        print(f"| {one.name} | {1000 * one.median / options.steps:.2f} | {ratio(one, passes[0]):.2f} | {over} |")
    if options.device == "cuda":
        copying(bench)


if __name__ == "__main__":
    main()
