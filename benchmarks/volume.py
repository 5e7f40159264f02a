"""Memory of a gradient through sliding windows: `python -m benchmarks.volume [--quick]`.

Prints one JSON line on stdout; progress goes to stderr and the table to `benchmarks/results/volume.md`.
A volume of 160^3 voxels, windows of 96^3, overlap 0.5, a MONAI 3D U-Net, one window at a time, on the CPU. Every
contender in a fresh process, whose peak resident memory is read from the kernel; about a quarter of an hour on two
cores. `--quick` takes 48^3 and windows of 32^3, where the libraries weigh more than the data.
`--whole` adds the graph of all windows, which needs 12 GB. `--only attack` runs plain inference and the named rows, and
writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.measure import say
from palpate import Linf, Tuning, Victim
from palpate.allocator import keep_freed_memory
from palpate.attacks import recipes
from palpate.tasks.segmentation import Segmentation
from palpate.victim.inference import SlidingWindow

RESULTS = Path(__file__).resolve().parent / "results"
TASK = Segmentation(1)
QUICK, FULL = (48, 32), (160, 96)


@dataclass(frozen=True)
class Contender:
    """One process.

    Attributes:
        words: row of the table.
        run: what is measured: (network, volume, labels, window) -> gradient or None.
        malloc: `PALPATE_MALLOC`; "0" is glibc as it comes, "" palpate's thresholds, "trim" its least memory.
    """

    words: str
    run: Callable[[nn.Module, Tensor, Tensor, int], Tensor | None]
    malloc: str = "0"


def plain(network: nn.Module, volume: Tensor, labels: Tensor, window: int) -> None:
    """What the clinic runs."""
    with torch.no_grad():
        _monai(network, volume, window)


def ours(network: nn.Module, volume: Tensor, labels: Tensor, window: int) -> Tensor:
    """One gradient of cross-entropy through our inferer."""
    return _victims(network, volume, labels, window, Tuning())


def mixed(network: nn.Module, volume: Tensor, labels: Tensor, window: int) -> Tensor:
    """The same, searched in bfloat16."""
    return _victims(network, volume, labels, window, Tuning(search="bfloat16"))


def attack(network: nn.Module, volume: Tensor, labels: Tensor, window: int) -> Tensor:
    """A whole attack of one step: clean verdict twice, gradient, step, score, with all that is kept for the result."""
    victim = Victim(network, (0, 1), inferer=SlidingWindow((window,) * 3))
    with torch.no_grad():
        # What the network decides is its truth here: an image that is wrong already is not attacked.
        labels = TASK.predict(_monai(network, volume, window))
    return recipes.bim(Linf(0.01), steps=1, run_to_end=True)(victim, TASK, volume, labels).images


def checkpointed(network: nn.Module, volume: Tensor, labels: Tensor, window: int) -> Tensor:
    """What is at hand without us: `torch.utils.checkpoint` around the network inside MONAI's call."""
    volume = volume.clone().requires_grad_()
    outputs = _monai(lambda part: checkpoint(network, part, use_reentrant=False), volume, window)
    return torch.autograd.grad(TASK.loss(outputs, labels).sum(), volume)[0]


def whole(network: nn.Module, volume: Tensor, labels: Tensor, window: int) -> Tensor:
    """The graph of every window at once."""
    volume = volume.clone().requires_grad_()
    return torch.autograd.grad(TASK.loss(_monai(network, volume, window), labels).sum(), volume)[0]


CONTENDERS = {
    "plain": Contender("MONAI's sliding-window inference", plain),
    "ours": Contender("our gradient", ours),
    "trim": Contender("our gradient, `PALPATE_MALLOC=trim` (audits with windows)", ours, "trim"),
    "keep": Contender("our gradient, malloc thresholds (`PALPATE_MALLOC=keep`)", ours, ""),
    "mixed": Contender("our gradient, search in bfloat16, `PALPATE_MALLOC=trim`", mixed, "trim"),
    "attack": Contender("our attack of one step, `PALPATE_MALLOC=trim`", attack, "trim"),
    "checkpointed": Contender("MONAI's call with a checkpointed network", checkpointed),
    "whole": Contender("MONAI's call, whole graph", whole),
}


def _monai(network: Callable[[Tensor], Tensor], volume: Tensor, window: int) -> Tensor:
    return sliding_window_inference(volume, (window,) * 3, 1, network, overlap=0.5, mode="gaussian")


def _victims(network: nn.Module, volume: Tensor, labels: Tensor, window: int, tuning: Tuning) -> Tensor:
    with Victim(network, (0, 1), inferer=SlidingWindow((window,) * 3), tuning=tuning) as victim:
        volume = volume.clone().requires_grad_()
        return victim.gradient(TASK.loss(victim.search(volume), labels), volume)


def world(size: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Network, volume and labels; the libraries have computed once."""
    torch.manual_seed(0)
    network = UNet(3, 1, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=2).eval().requires_grad_(False)
    volume = torch.rand(1, 1, size, size, size)
    labels = (volume[:, 0] > 0.9).long()
    small = torch.rand(1, 1, 16, 16, 16, requires_grad=True)
    torch.autograd.grad(network(small).sum(), small)
    return network, volume, labels


def alone(name: str, size: int, window: int, out: Path) -> None:
    """Measure one contender in this process and print its figures."""
    network, volume, labels = world(size)
    if CONTENDERS[name].malloc == "":
        keep_freed_memory()
    before = _status("VmRSS")
    # Makes the kernel forget the peak of the imports.
    Path("/proc/self/clear_refs").write_text("5")
    begin = time.perf_counter()
    gradient = CONTENDERS[name].run(network, volume, labels, window)
    seconds = time.perf_counter() - begin
    peak = _status("VmHWM")
    if gradient is not None:
        torch.save(gradient, out)
    print(json.dumps({"peak": peak, "increase": peak - before, "seconds": seconds}))


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


def measured(name: str, size: int, window: int, folder: Path) -> dict[str, Any]:
    """Run one contender in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.volume", "--alone", name, str(size), str(window), str(folder / name)]
    environment = os.environ | {"PALPATE_MALLOC": CONTENDERS[name].malloc}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"  {CONTENDERS[name].words:<70} {found['peak']:7.0f} MiB, {found['seconds']:6.1f} s")
    return found


def differences(names: list[str], folder: Path) -> dict[str, float]:
    """Largest difference of our gradient from the reference's, over the largest gradient."""
    reference = torch.load(folder / names[-1], weights_only=True)
    found = torch.load(folder / "ours", weights_only=True)
    return {f"gradient_difference_from_{names[-1]}": float((found - reference).abs().max() / reference.abs().max())}


def write_table(rows: dict[str, dict[str, Any]], figures: dict[str, Any], size: int, window: int) -> None:
    """The table, with versions and machine."""
    lines = [
        f"# Memory of a gradient through sliding windows, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.volume`: a volume of {size}^3 voxels, windows of {window}^3, overlap 0.5, one window "
        "at a time, MONAI's 3D U-Net (16, 32, 64, 128), strides 2, 2 residual units; CPU, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}. Every row a fresh process. *Increase*: over "
        "the process with libraries, network and volume in place. Ratios are over the first row.",
        "",
        "| what | peak MiB | ratio | increase MiB | ratio | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    base = rows["plain"]
    for name, row in rows.items():
        peak, increase = row["peak"], row["increase"]
        lines.append(
            f"| {CONTENDERS[name].words} | {peak:.0f} | {peak / base['peak']:.2f} "
            f"| {increase:.0f} | {increase / base['increase']:.2f} | {row['seconds']:.1f} |"
        )
    lines += ["", "| figure | value |", "| --- | --- |"]
    lines += [f"| {name} | {value:.3g} |" for name, value in figures.items()]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "volume.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Measure every contender and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small volume; nothing is written")
    parser.add_argument("--whole", action="store_true", help="also the graph of all windows (12 GB)")
    parser.add_argument("--only", nargs="+", choices=[*CONTENDERS], help="these rows beside the first")
    parser.add_argument("--alone", nargs=4, metavar=("NAME", "SIZE", "WINDOW", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        name, edge, roi, out = options.alone
        alone(name, int(edge), int(roi), Path(out))
        return
    size, window = QUICK if options.quick else FULL
    names = [name for name in CONTENDERS if name != "whole" or options.whole or options.quick]
    names = [name for name in names if not options.only or name in ("plain", *options.only)]
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: measured(name, size, window, Path(folder)) for name in names}
        figures: dict[str, Any] = {}
        for name in names[1:] if options.only else ("ours", "trim", "keep", "attack"):
            for what in ("peak", "increase"):
                figures[f"volume_{what}_ratio_{name}"] = rows[name][what] / rows["plain"][what]
        if not options.only:
            figures |= differences(names, Path(folder))
    if not (options.quick or options.only):
        write_table(rows, figures, size, window)
    print(json.dumps({name: round(value, 9) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
