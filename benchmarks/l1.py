"""L1 attacks compared with peers, image by image: `python -m benchmarks.l1 [--xrays pneumoniamnist.npz] [--count 40]`.

Small networks (`benchmarks.l1_victims`), validation images in [0, 1], one radius each. Peers run as their authors call
them: L1-APGD, its targeted form and FAB of AutoAttack (pyautoattack), FMN of adversarial-library and PGD of ART. A peer
that is not installed is left out. Goes on where it stopped: an attack that `benchmarks/results/l1.json` has is not run
again, unless it is named by `--again`. Writes that file and the table of `docs/explanation/l1.md`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.l1_victims import Victim, victims
from benchmarks.measure import say
from palpate import Classification
from palpate import Victim as Tested
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.strongest import strongest
from palpate.attacks.objectives import Deviation, Margin
from palpate.attacks.sparse.steps import Sparse
from palpate.attacks.steps import Halving
from palpate.contracts import Attack
from palpate.threats.ball import L1

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "l1.json", ROOT / "docs" / "explanation" / "l1.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
STEPS = 100
NARROW = Sparse(phases=((1.0, 1.0),))
PUBLISHED = Sparse(phases=((3.0, 0.3), (2.0, 0.3), (1.0, 0.4)))

OURS: dict[str, Callable[[L1], Attack]] = {
    "apgd-ce": lambda threat: recipes.apgd_ce(threat, STEPS),
    "apgd-margin": lambda threat: recipes.apgd_margin(threat, STEPS),
    "strongest": strongest,
    "apgd-margin, 3 starts": lambda threat: recipes.apgd_margin(threat, STEPS, restarts=3),
}
ABLATED: dict[str, Callable[[L1], Ascent]] = {
    "apgd-ce, radii 3, 2, 1": lambda threat: Ascent(threat, STEPS, Deviation(), step=PUBLISHED),
    "apgd-margin, radii 3, 2, 1": lambda threat: Ascent(threat, STEPS, Margin(), step=PUBLISHED),
    "apgd-margin, radius 1 alone": lambda threat: Ascent(threat, STEPS, Margin(), step=NARROW),
    "apgd-margin, fixed 1 % (before)": lambda threat: Ascent(threat, STEPS, Margin(), step=Halving()),
    "pgd": lambda threat: recipes.pgd(threat, STEPS),
}


class Counted(nn.Module):
    """The network of a victim, and how many images went through it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.forwards, self.backwards = model, 0, 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        self.forwards += len(images)
        if images.requires_grad:
            images.register_hook(self._back)
        logits: Tensor = self.model(images)
        return logits

    def _back(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


def _apgd(loss: str, wide: bool) -> Callable[[nn.Module, Victim], Tensor]:
    def run(model: nn.Module, on: Victim) -> Tensor:
        from pyautoattack.autopgd_base import APGDAttack

        attack = APGDAttack(
            model, n_iter=STEPS, norm="L1", eps=on.eps, loss=loss, device="cpu", use_largereps=wide, seed=0
        )
        found: Tensor = attack.perturb(on.images.clone(), on.labels.clone())
        return found

    return run


def _targeted(model: nn.Module, on: Victim) -> Tensor:
    from pyautoattack.autopgd_base import APGDAttack_targeted

    attack = APGDAttack_targeted(
        model, n_iter=STEPS, norm="L1", eps=on.eps, device="cpu", use_largereps=True, n_target_classes=3, seed=0
    )
    found: Tensor = attack.perturb(on.images.clone(), on.labels.clone())
    return found


def _fab(model: nn.Module, on: Victim) -> Tensor:
    from pyautoattack.fab_pt import FABAttack_PT

    torch.manual_seed(0)
    attack = FABAttack_PT(model, norm="L1", n_iter=STEPS, eps=on.eps, device="cpu", seed=0)
    found: Tensor = attack.perturb(on.images.clone(), on.labels.clone())
    return found


def _fmn(model: nn.Module, on: Victim) -> Tensor:
    from adv_lib.attacks import fmn

    torch.manual_seed(0)
    found: Tensor = fmn(model, on.images.clone(), on.labels, norm=1, steps=STEPS)
    return found


def _art(model: nn.Module, on: Victim) -> Tensor:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    np.random.seed(0)
    shape = tuple(on.images.shape[1:])
    wrapped = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), shape, on.classes, clip_values=(0.0, 1.0), device_type="cpu"
    )
    attack = ProjectedGradientDescentPyTorch(
        wrapped, norm=1, eps=on.eps, eps_step=2.5 * on.eps / STEPS, max_iter=STEPS, num_random_init=1, verbose=False
    )
    return torch.from_numpy(np.asarray(attack.generate(on.images.numpy(), on.labels.numpy()))).float()


@dataclass(frozen=True)
class Peer:
    """A peer's attack: the package that it needs, and the fewest classes for which its loss can be formed."""

    package: str
    run: Callable[[nn.Module, Victim], Tensor]
    classes: int = 2


PEERS = {
    "official L1-APGD, cross-entropy": Peer("pyautoattack", _apgd("ce", True)),
    "official L1-APGD, cross-entropy, radius 1 alone": Peer("pyautoattack", _apgd("ce", False)),
    "official L1-APGD, DLR": Peer("pyautoattack", _apgd("dlr", True), 3),
    "official L1-APGD, 3 targets": Peer("pyautoattack", _targeted, 4),
    "official FAB": Peer("pyautoattack", _fab),
    "adversarial-library FMN": Peer("adv_lib", _fmn),
    "ART PGD": Peer("art", _art),
}


def beaten(on: Victim, adversarial: Tensor) -> Tensor:
    """Which images the network gets wrong (count,), judged by itself; images outside ball or box do not count."""
    allowed = (adversarial - on.images).abs().flatten(1).sum(1) <= on.eps * (1 + 1e-4)
    inside = ((adversarial >= -1e-6) & (adversarial <= 1 + 1e-6)).flatten(1).all(1)
    with torch.no_grad():
        return (on.model(adversarial).argmax(1) != on.labels) & allowed & inside


def compare(on: Victim, known: dict[str, Any]) -> dict[str, Any]:
    """Every attack on one victim that is not known: which images it beats, its passes per image and its seconds."""
    found: dict[str, Any] = {}

    def enter(name: str, side: str, work: Callable[[], tuple[Tensor, float]]) -> None:
        if name in known:
            found[name] = known[name] | {"side": side}
            return
        begin = time.perf_counter()
        adversarial, passes = work()
        won = beaten(on, adversarial).tolist()
        found[name] = {"side": side, "beaten": won, "passes": passes, "seconds": time.perf_counter() - begin}
        say(f"  {name}: {sum(won)} of {len(won)}, {passes:.0f} passes an image")

    def ours(attack: Attack) -> tuple[Tensor, float]:
        streams = torch.Generator().manual_seed(0)
        result = attack(Tested(on.model, (0, 1)), Classification(on.classes), on.images, on.labels, generator=streams)
        return result.images, float((result.forwards + result.backwards).double().mean())

    def theirs(peer: Peer) -> tuple[Tensor, float]:
        model = Counted(on.model).eval()
        adversarial = peer.run(model, on).detach()
        return adversarial, (model.forwards + model.backwards) / len(on.images)

    say(f"{on.name}, {len(on.images)} images, eps {on.eps:g}")
    for name, peer in PEERS.items():
        if on.classes >= peer.classes and importlib.util.find_spec(peer.package):
            enter(name, "peer", lambda peer=peer: theirs(peer))  # type: ignore[misc]
    for side, attacks in (("ours", OURS), ("ablated", ABLATED)):
        for name, make in attacks.items():
            enter(name, side, lambda make=make: ours(make(L1(on.eps))))  # type: ignore[misc]
    return {"name": on.name, "classes": on.classes, "eps": on.eps, "count": len(on.images), "attacks": found}


def table(results: list[dict[str, Any]]) -> str:
    """One section for each victim: beaten images, and those that no attack of the other side beats."""
    lines = []
    for one in results:
        won = {name: np.array(entry["beaten"]) for name, entry in one["attacks"].items()}
        union = {
            side: np.any([won[name] for name, entry in one["attacks"].items() if entry["side"] == side], axis=0)
            if any(entry["side"] == side for entry in one["attacks"].values())
            else np.zeros(one["count"], bool)
            for side in ("peer", "ours")
        }
        lines += [f"### {one['name']}, {one['classes']} classes, eps {one['eps']:g}, {one['count']} images", ""]
        lines += [
            "| attack | beaten | no attack of the other side beats | passes an image |",
            "| --- | --- | --- | --- |",
        ]
        for name, entry in one["attacks"].items():
            other = union["ours" if entry["side"] == "peer" else "peer"]
            alone = int((won[name] & ~other).sum())
            lines.append(f"| {name} | {int(won[name].sum())} | {alone} | {entry['passes']:.0f} |")
        both = [int(union["peer"].sum()), int((union["peer"] & ~union["ours"]).sum())]
        lines.append(f"| **all peers together** | {both[0]} | {both[1]} | |")
        both = [int(union["ours"].sum()), int((union["ours"] & ~union["peer"]).sum())]
        lines += [f"| **all of ours together** | {both[0]} | {both[1]} | |", ""]
    return "\n".join(lines)


def _known(stored: list[dict[str, Any]], on: Victim, again: list[str]) -> dict[str, Any]:
    for one in stored:
        if (one["name"], one["count"], one["eps"]) == (on.name, len(on.images), on.eps):
            return {name: entry for name, entry in one["attacks"].items() if name not in again}
    return {}


def main() -> None:
    """Compare, store, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--xrays", type=Path, help="PneumoniaMNIST's .npz file, for the networks with two classes")
    parser.add_argument("--count", type=int, default=40, help="images of each network")
    parser.add_argument("--again", nargs="*", default=[], help="attacks to run again")
    parser.add_argument("--only", help="the networks whose name contains this; nothing is written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [one for one in victims(given.xrays, given.count) if not given.only or given.only in one.name]
    stored = json.loads(RESULTS.read_text()) if RESULTS.is_file() and not given.only else []
    results = [compare(one, _known(stored, one, given.again)) for one in chosen]
    text = table(results)
    say(text)
    if not given.only:
        RESULTS.write_text(json.dumps(results) + "\n")
        page = PAGE.read_text()
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


if __name__ == "__main__":
    main()
