"""Attacks without gradients beside those of Foolbox and ART at equal queries: `python -m benchmarks.black_box`.

Every peer attacks one image at a time and is stopped when its queries are spent; each image that it asked about and
that the network got wrong counts with its distance, so a search for the smallest change loses nothing by being stopped.
`square` and `hopskipjump` of palpate run once for each radius, with as many queries. It runs in the environment of
`make benchmark`. Networks and images are those of `benchmarks.parity`. Writes `benchmarks/results/black_box.json` and
the table of `docs/howto/black_box.md`; `--quick` prints only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import say
from benchmarks.parity.victims import PLANS, Victim, made
from palpate import Classification, catalog
from palpate import Victim as Tested
from palpate.tensors import lengths
from palpate.threats.ball import BALLS

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "black_box.json", ROOT / "docs" / "howto" / "black_box.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
VICTIMS = ("X-rays, plain", "shapes, adversarial")
SHARES = {"linf": (1.5, 3.0), "l2": (1.5, 3.0)}
"""Radii as multiples of those of the parity table, which are for attacks with gradients."""
Attack = Callable[[nn.Module, Tensor, Tensor, str, float, int], Any]
_LP: dict[str, Any] = {"linf": np.inf, "l2": 2}


class Spent(BaseException):
    """The queries are spent. Not an `Exception`, so that no peer catches it."""


class Asked(nn.Module):
    """A network that answers a number of queries about one image, and keeps the nearest image that it gets wrong.

    Attributes:
        nearest: distance of that image; infinity before there is one.
        queries: images that it was asked about.
    """

    def __init__(self, model: nn.Module, image: Tensor, label: Tensor, norm: str, most: int):
        super().__init__()
        self.model, self.image, self.label, self.norm, self.most = model, image, label, norm, most
        self.nearest, self.queries = float("inf"), 0

    def forward(self, images: Tensor) -> Tensor:
        """Scores.

        Raises:
            Spent: more images than may still be asked about; those that may are looked at.
        """
        allowed = images[: self.most - self.queries]
        self.queries += len(allowed)
        if not len(allowed):
            raise Spent
        with torch.no_grad():
            scores: Tensor = self.model(allowed.float())
        far = lengths((allowed - self.image).double(), self.norm)
        inside = ((allowed >= -1e-6) & (allowed <= 1 + 1e-6)).flatten(1).all(1)
        won = far[(scores.argmax(1) != self.label) & inside]
        self.nearest = min([self.nearest, *won.tolist()])
        if len(allowed) < len(images):
            raise Spent
        return scores


def _foolbox_walk(model: nn.Module, image: Tensor, label: Tensor, norm: str, eps: float, classes: int) -> None:
    import foolbox

    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    foolbox.attacks.HopSkipJumpAttack(constraint=norm)(wrapped, image, label, epsilons=None)


def _art(model: nn.Module, image: Tensor, classes: int) -> Any:
    from art.estimators.classification import PyTorchClassifier

    shape = tuple(image.shape[1:])
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, classes, clip_values=(0.0, 1.0), device_type="cpu")


def _art_walk(model: nn.Module, image: Tensor, label: Tensor, norm: str, eps: float, classes: int) -> None:
    from art.attacks.evasion import HopSkipJump

    attack = HopSkipJump(_art(model, image, classes), norm=_LP[norm], max_iter=64, verbose=False)
    attack.generate(image.numpy(), label.numpy())


def _art_square(model: nn.Module, image: Tensor, label: Tensor, norm: str, eps: float, classes: int) -> None:
    from art.attacks.evasion import SquareAttack

    most: int = model.most  # type: ignore[assignment]
    attack = SquareAttack(_art(model, image, classes), norm=_LP[norm], eps=eps, max_iter=most, verbose=False)
    attack.generate(image.numpy(), label.numpy())


PEERS: dict[str, tuple[str, Attack, bool]] = {
    "Foolbox HopSkipJump": ("foolbox", _foolbox_walk, False),
    "ART HopSkipJump": ("art", _art_walk, False),
    "ART Square": ("art", _art_square, True),
}
"""By name: the package, the attack, whether it is run for each radius."""
OURS = ("hopskipjump", "square")


def theirs(on: Victim, attack: Attack, norm: str, eps: float, most: int) -> tuple[list[float], float]:
    """The nearest beating image of every image, and the mean of the queries."""
    nearest, queries = [], 0
    for image, label in zip(on.images.split(1), on.labels.split(1), strict=True):
        asked = Asked(on.model, image, label, norm, most).eval()
        torch.manual_seed(0)
        np.random.seed(0)
        try:
            attack(asked, image.clone(), label.clone(), norm, eps, on.classes)
        except Spent:
            pass
        except Exception as error:  # what was found until then counts
            say(f"    {type(error).__name__}: {error}".splitlines()[0])
        nearest.append(asked.nearest)
        queries += asked.queries
    return nearest, queries / len(on.images)


def compare(on: Victim, norm: str, most: int) -> list[dict[str, Any]]:
    """One entry for each attack: images beaten at each radius, and queries for each."""
    radii = [on.radii[norm] * share for share in SHARES[norm]]
    found = []
    for name, (package, attack, each) in PEERS.items():
        if importlib.util.find_spec(package) is None:
            continue
        begin = time.process_time()
        runs = [theirs(on, attack, norm, eps, most) for eps in (radii if each else radii[:1])]
        runs = runs if each else runs * len(radii)
        beaten = [sum(far <= eps * (1 + 1e-4) for far in run[0]) for run, eps in zip(runs, radii, strict=True)]
        found.append(_entry(name, beaten, [run[1] for run in runs], begin))
    for name in OURS:
        begin, beaten, queries = time.process_time(), [], []
        for eps in radii:
            streams = torch.Generator().manual_seed(0)
            # The unchanged image is a query too.
            attack = catalog.make(name, BALLS[norm](eps), queries=most - 1)
            task = Classification(on.classes)
            result = attack(Tested(on.model, (0, 1)), task, on.images, on.labels, generator=streams)
            beaten.append(int(result.success.sum()))
            queries.append(float(result.forwards.double().mean()))
        found.append(_entry(name, beaten, queries, begin))
    return [{"victim": on.name, "norm": norm, "radii": radii, "images": len(on.images), **one} for one in found]


def _entry(name: str, beaten: list[int], queries: list[float], begin: float) -> dict[str, Any]:
    say(f"  {name}: {beaten}, {[round(one) for one in queries]} queries, {time.process_time() - begin:.0f} s")
    return {"attack": name, "beaten": beaten, "queries": queries}


def table(results: list[dict[str, Any]]) -> str:
    """One line for each attack, network and norm."""
    lines = [
        "| network | norm | radii | images | attack | beaten | queries an image |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in results:
        scale, unit = (255, "/255") if one["norm"] == "linf" else (1, "")
        name = f"`{one['attack']}`" if one["attack"] in OURS else one["attack"]
        cells = (
            one["victim"],
            {"linf": "L-inf", "l2": "L2"}[one["norm"]],
            ", ".join(f"{eps * scale:.3g}{unit}" for eps in one["radii"]),
            str(one["images"]),
            name,
            ", ".join(str(count) for count in one["beaten"]),
            ", ".join(f"{count:.0f}" for count in one["queries"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare, store, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the real images; without it only drawn ones are compared")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "palpate_parity", help="where trained networks stay"
    )
    parser.add_argument("--queries", type=int, default=1000, help="of each image, the unchanged one included")
    parser.add_argument("--images", type=int, default=10, help="of each network")
    parser.add_argument("--quick", action="store_true", help="4 images, 200 queries; nothing is written")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    results = []
    for plan in PLANS:
        if plan.name not in VICTIMS:
            continue
        on = made(plan, given.data, given.cache, 4 if given.quick else given.images)
        for norm in SHARES if on else ():
            say(f"{on.name}, {norm}")
            results += compare(on, norm, 200 if given.quick else given.queries)
    if given.quick:
        sys.stdout.write(table(results))
        return
    RESULTS.write_text(json.dumps(results) + "\n")
    head, tail = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n\n{table(results)}\n{END}{tail}")


if __name__ == "__main__":
    main()
