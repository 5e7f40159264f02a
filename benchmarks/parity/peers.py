"""Attacks of other libraries on classes, called as their documentation shows; each on images in [0, 1].

Packages that are not installed are left out. torchvision, which some of them import, cannot be imported beside a CPU
build of torch, and visdom is only for plots: adversarial-library gets empty modules in their place.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.parity.compare import PEER, Contender

STEPS = 100
AUTOATTACK = "official AutoAttack, standard"
_LP: dict[str, Any] = {"linf": np.inf, "l2": 2, "l1": 1}
_SHORT = {"linf": "Linf", "l2": "L2", "l1": "L1"}
Run = Callable[[nn.Module, Tensor, Tensor, str, float, int], Tensor]
"""(model, images, labels, norm, eps, classes) -> changed images."""


@dataclass(frozen=True)
class Peer:
    """A peer's attack: the package that it needs, how it is called, and for which norms.

    Attributes:
        classes: numbers of classes that it is called for; empty: all.
        short: whether `--quick` runs it.
    """

    package: str
    run: Run
    norms: tuple[str, ...] = ("linf", "l2", "l1")
    classes: tuple[int, ...] = ()
    short: bool = False


class _Empty(types.ModuleType):
    """Stands for a package that is imported and not used."""

    def __init__(self, name: str):
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Empty


def adv_lib() -> Any:
    """adversarial-library's attacks, imported."""
    for name in ("visdom", "torchvision"):
        sys.modules.setdefault(name, _Empty(name))
    import adv_lib.attacks

    return adv_lib.attacks


def _torchattacks(make: Callable[[Any, nn.Module, str, float, int], Any]) -> Run:
    def run(model: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float, classes: int) -> Tensor:
        import torchattacks

        attack = make(torchattacks, model, _SHORT[norm], eps, classes)
        found: Tensor = attack(images, labels)
        return found

    return run


def _torchattacks_pgd(library: Any, model: nn.Module, norm: str, eps: float, classes: int) -> Any:
    step = 2.5 * eps / STEPS
    if norm == "Linf":
        return library.PGD(model, eps=eps, alpha=step, steps=STEPS)
    return library.PGDL2(model, eps=eps, alpha=step, steps=STEPS)


def _official(version: str, attacks: tuple[str, ...] | None = None) -> Run:
    """AutoAttack of its authors; with fewer than ten classes, as many targets as there are."""

    def run(model: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float, classes: int) -> Tensor:
        from pyautoattack.autoattack import AutoAttack

        chosen = None if attacks is None else list(attacks)
        attack = AutoAttack(model, norm=_SHORT[norm], eps=eps, version=version, attacks=chosen, seed=0, device="cpu")
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
        found = attack.run_standard_evaluation(images, labels, batch_size=len(images))
        return found if isinstance(found, Tensor) else found[0]

    return run


def _foolbox(make: Callable[[Any, str], Any]) -> Run:
    def run(model: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float, classes: int) -> Tensor:
        import foolbox

        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        found: Tensor = make(foolbox.attacks, norm)(wrapped, images, labels, epsilons=eps)[1]
        return found

    return run


def _foolbox_pgd(library: Any, norm: str) -> Any:
    make = {"linf": library.LinfPGD, "l2": library.L2PGD, "l1": library.L1PGD}[norm]
    return make(steps=STEPS, rel_stepsize=2.5 / STEPS)


def _foolbox_fmn(library: Any, norm: str) -> Any:
    return {"linf": library.LInfFMNAttack, "l2": library.L2FMNAttack, "l1": library.L1FMNAttack}[norm](steps=STEPS)


def _art(make: Callable[[Any, Any, str, float], Any]) -> Run:
    def run(model: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float, classes: int) -> Tensor:
        from art.attacks import evasion
        from art.estimators.classification import PyTorchClassifier

        wrapped = PyTorchClassifier(
            model, nn.CrossEntropyLoss(), tuple(images.shape[1:]), classes, clip_values=(0.0, 1.0), device_type="cpu"
        )
        made = make(evasion, wrapped, norm, eps).generate(images.numpy(), labels.numpy())
        return torch.from_numpy(np.asarray(made)).float()

    return run


def _art_pgd(library: Any, model: Any, norm: str, eps: float) -> Any:
    settings = {"eps_step": 2.5 * eps / STEPS, "max_iter": STEPS, "num_random_init": 1, "verbose": False}
    return library.ProjectedGradientDescentPyTorch(model, norm=_LP[norm], eps=eps, **settings)


def _art_apgd(library: Any, model: Any, norm: str, eps: float) -> Any:
    settings = {"eps_step": 2 * eps, "max_iter": STEPS, "nb_random_init": 1, "verbose": False}
    kind = "difference_logits_ratio" if model.nb_classes > 2 else "cross_entropy"
    return library.AutoProjectedGradientDescent(model, norm=_LP[norm], eps=eps, loss_type=kind, **settings)


def _adv(make: Callable[[Any, nn.Module, Tensor, Tensor, str, float], Tensor]) -> Run:
    def run(model: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float, classes: int) -> Tensor:
        return make(adv_lib(), model, images, labels, norm, eps)

    return run


def _adv_apgd(library: Any, model: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float) -> Tensor:
    wide = {"use_large_reps": True} if norm == "l1" else {}
    found: Tensor = library.apgd(model, images, labels, eps, _LP[norm], n_iter=STEPS, loss_function="ce", **wide)
    return found


PEERS: dict[str, Peer] = {
    "torchattacks PGD": Peer("torchattacks", _torchattacks(_torchattacks_pgd), ("linf", "l2"), short=True),
    "torchattacks APGD": Peer(
        "torchattacks", _torchattacks(lambda t, m, n, e, c: t.APGD(m, n, e, STEPS)), ("linf", "l2")
    ),
    # Its name and its parts are those of AutoAttack, but the climbs and FAB have 10 steps, where the authors have 100.
    "torchattacks AutoAttack, standard": Peer(
        "torchattacks",
        _torchattacks(lambda t, m, n, e, c: t.AutoAttack(m, n, e, n_classes=c, seed=0)),
        ("linf", "l2"),
    ),
    AUTOATTACK: Peer("pyautoattack", _official("standard")),
    "official APGD-CE, FAB and Square": Peer(
        "pyautoattack", _official("custom", ("apgd-ce", "fab", "square")), classes=(2,)
    ),
    "Foolbox PGD": Peer("foolbox", _foolbox(_foolbox_pgd), short=True),
    "Foolbox FMN": Peer("foolbox", _foolbox(_foolbox_fmn), short=True),
    "Foolbox DDN": Peer("foolbox", _foolbox(lambda f, norm: f.DDNAttack(steps=STEPS)), ("l2",)),
    "Foolbox Carlini-Wagner": Peer(
        "foolbox", _foolbox(lambda f, norm: f.L2CarliniWagnerAttack(binary_search_steps=5, steps=200)), ("l2",)
    ),
    "ART PGD": Peer("art", _art(_art_pgd)),
    "ART Auto-PGD": Peer("art", _art(_art_apgd)),
    "adv_lib APGD": Peer("adv_lib", _adv(_adv_apgd)),
    "adv_lib FMN": Peer("adv_lib", _adv(lambda a, m, x, y, n, e: a.fmn(m, x, y, _LP[n], steps=STEPS))),
    "adv_lib DDN": Peer("adv_lib", _adv(lambda a, m, x, y, n, e: a.ddn(m, x, y, steps=STEPS, levels=None)), ("l2",)),
    "adv_lib ALMA": Peer(
        "adv_lib", _adv(lambda a, m, x, y, n, e: a.alma(m, x, y, num_steps=500, distance=n)), ("l2", "l1")
    ),
    "adv_lib PDPGD": Peer(
        "adv_lib", _adv(lambda a, m, x, y, n, e: a.pdpgd(m, x, y, _LP[n], num_steps=300)), ("linf", "l2", "l1")
    ),
}


def contenders(norm: str, eps: float, classes: int, quick: bool) -> list[Contender]:
    """The peers whose package is installed, for one victim and norm."""
    warnings.filterwarnings("ignore")

    def bound(peer: Peer) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        return lambda model, images, labels: peer.run(model, images, labels, norm, eps, classes)

    return [
        Contender(name, PEER, bound(peer))
        for name, peer in PEERS.items()
        if norm in peer.norms
        and classes in (peer.classes or (classes,))
        and (peer.short or not quick)
        and importlib.util.find_spec(peer.package)
    ]
