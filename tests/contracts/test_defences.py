"""Every defence of the catalogue, around classes, findings and masks, in 2D and 3D, with 1 and 3 channels."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from palpate.checks import victims
from palpate.defences import catalog
from palpate.defences.makers import LoadedNetwork, Setting
from palpate.defences.reading import Reading, reading_of
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import accepted, answer_of
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import leaves
from palpate.units import Scale
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)
NAMES = tuple(catalog.defences())
FEW = {"draws": 3, "votes": 7}


class Halving(nn.Module):
    """A purifier with a gradient, in training mode and trainable until a victim enters."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return images * self.share + 60


def made(name: str, victim_module: nn.Module, head: Reading | None):
    other = (
        type(victim_module)(*victim_module.arguments) if hasattr(victim_module, "arguments") else Twin(victim_module)
    )
    networks = {"denoise": Halving(), "ensemble": other}
    setting = Setting(Scale(BOUNDS), head, lambda source: LoadedNetwork(networks[name].train(), "digest"))
    parameters = {key: value for key, value in FEW.items() if key in catalog.find(name).parameters}
    if name == "denoise":
        parameters = {"factory": "cleaner.py:build"}
    if name == "ensemble":
        parameters = {"members": [{"factory": "model.py:other"}]}
    if name == "reject":
        parameters = {"threshold": 0.05}
    return catalog.make(name, setting, **parameters)


class Twin(nn.Module):
    """Another model: the first one's, mirrored."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        return self.module(255 - images) + self.module(images)


def world(kind: str, channels: int, spatial: int):
    """A network, its task and some images of 3D or 2D."""
    torch.manual_seed(0)
    images = torch.rand(3, channels, *([10] * spatial), generator=torch.Generator().manual_seed(7)) * 200 + 20
    if kind == "masks":
        return victims.SmallMasks(channels, 3, spatial), Segmentation(2), images
    net = victims.small_net(channels, 4, spatial, BOUNDS)
    task = MultiLabel(4, thresholds=(0.2, 0.5, 0.6, 0.9)) if kind == "findings" else Classification(4)
    return net, task, images


KINDS = {"classes": "classification", "findings": "multilabel", "masks": "segmentation"}
CASES = [
    (name, kind, channels, spatial)
    for name in NAMES
    for kind, channels, spatial in (
        ("classes", 1, 2), ("classes", 3, 2), ("classes", 1, 3), ("findings", 3, 2), ("masks", 1, 2), ("masks", 1, 3)
    )
    if KINDS[kind] in catalog.find(name).tasks
]  # fmt: skip


@pytest.fixture(params=CASES, ids=["-".join(map(str, case)) for case in CASES])
def case(request):
    name, kind, channels, spatial = request.param
    network, task, images = world(kind, channels, spatial)
    defence = made(name, network, reading_of(task))
    return SimpleNamespace(name=name, network=network, task=task, images=images, defence=defence)


def test_it_repeats_does_not_depend_on_the_batch_and_touches_nothing(case):
    before = {key: value.clone() for key, value in case.network.state_dict().items()}
    given, state = case.images.clone(), torch.get_rng_state()
    with Victim(case.network, BOUNDS, defences=(case.defence,)) as victim:
        for run in (victim.judge, victim.score):
            whole, again = run(case.images), run(case.images)
            for one, two in zip(leaves(whole), leaves(again), strict=True):
                assert torch.equal(one, two) and torch.isfinite(one).all()
            for row in range(len(case.images)):
                for one, part in zip(leaves(whole), leaves(run(case.images[row : row + 1])), strict=True):
                    assert torch.allclose(one[row : row + 1], part, atol=1e-4)
        plain = case.network(case.images)
        assert answer_of(victim.judge(case.images)).shape == plain.shape
    assert torch.equal(case.images, given) and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in case.network.state_dict().items())
    for module in getattr(case.defence, "modules", ()):
        assert module.training and all(parameter.requires_grad for parameter in module.parameters())


def test_a_gradient_flows_and_exact_ones_search_what_is_judged(case):
    place = case.images.clone().requires_grad_()
    with Victim(case.network, BOUNDS, defences=(case.defence,)) as victim:
        searched, judged = victim.search(place), victim.judge(case.images)
        gradient = victim.gradient(answer_of(searched).flatten(1)[:, 0], place)
        assert gradient.flatten(1).abs().amax(1).min() > 0
        assert victim.where_blocked(case.images) is None
        assert victim.exact == case.defence.exact
        same = all(
            torch.allclose(one, two, atol=1e-4) for one, two in zip(leaves(searched), leaves(judged), strict=True)
        )
        assert same == case.defence.exact


def test_double_precision_gives_the_same_decisions(case):
    with Victim(case.network, BOUNDS, defences=(case.defence,)) as victim:
        single = victim.judge(case.images)
    with Victim(case.network.double(), BOUNDS, defences=(case.defence,)) as victim:
        double = victim.judge(case.images.double())
    assert all(part.dtype == torch.float64 for part in leaves(double))
    assert torch.allclose(answer_of(single).double(), answer_of(double), atol=1e-3)


def test_the_catalogue_says_what_it_is_and_where_it_is_from():
    for entry in catalog.defences().values():
        assert entry.summary.endswith(".") and len(entry.summary) < 120 and entry.reference and entry.attacked
        assert entry.random == (not made_plain(entry.name).exact)
        assert made_plain(entry.name).describe()


def made_plain(name):
    return made(name, victims.small_net(1, 4, 2, BOUNDS), Reading())


def test_a_detector_rejects_what_changes_under_its_filters():
    network, task, images = world("classes", 1, 2)
    detector = made("reject", network, reading_of(task))
    with Victim(network, BOUNDS, defences=(detector,)) as victim:
        given = accepted(victim.judge(images))
        scores = detector.score(images, network)
    assert torch.equal(given, scores <= 0.05)
