"""nnU-Net's pipeline: the decision of its own predictor, and the gradient of the whole graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.models.nnunet import windows
from palpate.models.nnunet.network import Folds
from palpate.models.nnunet.normalising import Normalisation
from palpate.models.nnunet.resampling import Resampling
from palpate.models.nnunet.windows import Windows
from tests.models.nnunet.cases import CASES, Case, Sums
from tests.models.nnunet.referee import RECORDED, digest, refereed


@pytest.mark.parametrize("name", CASES)
def test_decisions_are_those_recorded_of_the_predictor(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert digest(case.decided(case.written(tmp_path / "model"))) == json.loads(RECORDED.read_text())[name]


@pytest.mark.parametrize("name", CASES)
def test_decisions_are_those_of_the_predictor(name: str, tmp_path: Path) -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed")
    case = CASES[name]
    assert (refereed(case) == case.decided(case.written(tmp_path / "model"))).all()


def test_an_image_of_zeros_is_decided(tmp_path: Path) -> None:
    case = Case()
    pipeline = case.pipeline(case.written(tmp_path / "model"))
    assert torch.isfinite(pipeline(torch.zeros(1, 1, *case.size), Folds(list(case.networks)))).all()


def whole_graph(image: Tensor, networks: list[Sums], setting: Windows) -> Tensor:
    """Logits as one graph of plain operations: every window and mirror at once; only sums of weights are rounded."""
    data = (image - image.mean()) / image.std(correction=0)
    weights = windows._weights(setting.patch).float()
    logits, total = torch.zeros(3, *data.shape[1:]), torch.zeros(data.shape[1:], dtype=torch.half)
    for place in setting.places(data.shape[1:]):
        window = data[(slice(None), *place)][None]
        votes = [network(window.flip(axes)).flip(axes) for network in networks for axes in setting.flips]
        logits[(slice(None), *place)] += torch.stack(votes).mean(0)[0] * weights
        total[place] += weights
    return logits / total


@pytest.mark.parametrize("kept", [0, 2**29])
def test_the_gradient_is_that_of_the_whole_graph(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "KEPT", kept)
    case = Case(size=(9, 10, 8), folds=2)
    image = case.image.permute(0, 3, 2, 1).contiguous()
    setting, slope = Windows(case.patch, (0, 1, 2)), torch.randn(3, *image.shape[1:])
    place = image.clone().requires_grad_()
    held = image[0].numpy()
    data = Normalisation("z-score")(place[0], held, None)[None]
    (found,) = torch.autograd.grad((setting(data, case.networks) * slope).sum(), place)
    (whole,) = torch.autograd.grad((whole_graph(place, case.networks, setting) * slope).sum(), place)
    assert (found - whole).norm() < 1e-5 * whole.norm()


def test_passes_are_computed_again_unless_all_graphs_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    case, setting, counts = Case(size=(9, 10, 8)), Windows((8, 8, 8), (0,)), []
    network = case.networks[0]

    def counted(images: Tensor) -> Tensor:
        counts.append(1)
        return network(images)

    data = (case.image / 100).requires_grad_()
    passes = 2 * len(list(setting.places(data.shape[1:])))
    # In 32 KiB fit some of the graphs, and so none is kept.
    for kept, calls in ((0, 2 * passes), (2**15, 2 * passes), (2**29, passes)):
        monkeypatch.setattr(windows, "KEPT", kept)
        counts.clear()
        torch.autograd.grad(setting(data, [counted]).sum(), data)
        assert len(counts) == calls
    # The environment decides for a machine with more memory, or less.
    for given, calls in (("0", 2 * passes), ("0.5", passes)):
        monkeypatch.setenv(windows.ROOM, given)
        counts.clear()
        torch.autograd.grad(setting(data, [counted]).sum(), data)
        assert len(counts) == calls
    for given in ("8 GiB", "-1", "nan"):
        monkeypatch.setenv(windows.ROOM, given)
        with pytest.raises(InputError, match=r"PALPATE_GRAPHS: .* is not a number of GiB"):
            setting(data, [counted])


@pytest.mark.parametrize(
    ("separate", "size", "now"),
    [(False, (5, 4, 7), (1.0, 1, 1)), (None, (7, 6, 5), (5.0, 1, 1)), (True, (4, 5, 3), (1, 1, 2.0))],
)
def test_resampling_has_the_gradient_of_its_values(
    separate: bool | None, size: tuple[int, ...], now: tuple[float, ...]
) -> None:
    drawn = torch.Generator().manual_seed(0)
    values, way = (torch.rand(2, 4, 5, 6, dtype=torch.float64, generator=drawn) for _ in range(2))
    step, place = Resampling(3, separate), values.clone().requires_grad_()
    slope = torch.rand(2, *size, dtype=torch.float64, generator=drawn)

    def weighed(values: Tensor) -> Tensor:
        return (step(values, size, now, (1.0, 1.0, 1.0)) * slope).sum()

    (found,) = torch.autograd.grad(weighed(place), place)
    difference = (weighed(values + 1e-6 * way) - weighed(values - 1e-6 * way)) / 2e-6
    assert abs((found * way).sum() - difference) < 1e-6 * abs(difference)


@pytest.mark.parametrize("scheme", ["z-score", "0 to 1", "CT"])
def test_normalisation_has_the_gradient_of_its_formula(scheme: str) -> None:
    values = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = Normalisation(scheme, scheme == "z-score", 0.5, 2.0, 0.2, 0.8)  # type: ignore[arg-type]
    mask = (values > 0.1).numpy()
    assert torch.autograd.gradcheck(lambda place: step(place, place.detach().numpy(), mask), values.requires_grad_())
