"""Chains as values: their window, spacing, identity, and use in training."""

import math
from dataclasses import replace

import pytest
import torch

from palpate.audit.plan.identity import NAMES, digest, encode
from palpate.errors import InputError
from palpate.preprocess import (
    CentreCrop,
    Chain,
    Clip,
    CropToBody,
    Invert,
    MonaiChain,
    Normalise,
    Pad,
    PerImage,
    Preprocess,
    Preprocessing,
    Reorder,
    Resample,
    Rescale,
    Resize,
    ToRGB,
    Window,
)
from tests.decoding import decode

CT = Chain((Window(-160.0, 240.0), Resize((8, 8)), ToRGB(3), Normalise((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))))


def test_the_steps_are_taken_in_order() -> None:
    values = torch.rand(2, 1, 12, 10, generator=torch.Generator().manual_seed(0)) * 2000 - 1000
    expected = values
    for step in CT.steps:
        expected = step(expected)
    assert torch.equal(CT(values), expected) and expected.shape == (2, 3, 8, 8)
    assert [name for name, _ in CT.parts] == ["Window", "Resize", "ToRGB", "Normalise"]
    assert CT.describe() == (
        "window -160 to 240 onto 0 to 1; resize to 8 x 8; repeat grey to 3 channels; "
        "subtract 0.5, 0.4, 0.3, divide by 0.2, 0.2, 0.2"
    )
    assert Chain().describe() == "none" and torch.equal(Chain()(values), values)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), None),
        ((Resize((4, 4)), Window(-160.0, 240.0)), (-160.0, 240.0)),
        ((Clip(-1024.0, 3071.0), Window(-160.0, 240.0)), (-160.0, 240.0)),
        ((Rescale(2.0, -1000.0), Window(0.0, 100.0)), (500.0, 550.0)),
        ((Rescale(-1.0, 0.0), Clip(10.0, 20.0)), (-20.0, -10.0)),
        ((Invert(0.0, 100.0), Window(0.0, 30.0)), (70.0, 100.0)),
        ((Window(0.0, 100.0), Clip(0.25, 0.5)), (25.0, 50.0)),
        ((Clip(0.0, 10.0), Clip(20.0, 30.0)), None),
        ((PerImage(), Clip(-1.0, 1.0)), None),
        ((Normalise((1.0,), (2.0,)), Clip(-1.0, 1.0)), None),
    ],
)
def test_the_window_is_what_the_network_can_tell_apart(steps, expected) -> None:  # type: ignore[no-untyped-def]
    chain = Chain(steps)
    assert chain.window == expected
    if expected is None:
        return
    low, high = expected
    values = torch.tensor([low - 9, low, (low + high) / 2, high, high + 9]).reshape(5, 1, 1, 1).expand(-1, 1, 4, 4)
    outside_low, lowest, middle, highest, outside_high = chain(values)[:, 0, 0, 0]
    assert outside_low == lowest and outside_high == highest and middle not in (lowest, highest)


def test_spacing_is_bound_to_resample_only() -> None:
    assert CT.at((1.0, 1.0)) is CT and not CT.resamples
    chain = Chain((Resample((1.0, 1.0)), Clip(0.0, 1.0)))
    bound = chain.at((0.5, 2.0))
    assert chain.resamples and bound == Chain((Resample((1.0, 1.0), (0.5, 2.0)), Clip(0.0, 1.0)))
    assert bound(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 4, 16)
    assert bound.at((1.0, 1.0))(torch.zeros(1, 1, 8, 8)).shape == (1, 1, 8, 8)
    with pytest.raises(InputError, match=r"resample.*data\.spacing"):
        chain.at(None)(torch.zeros(1, 1, 8, 8))


def test_images_of_other_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(B, C, \*spatial\)"):
        CT(torch.zeros(12, 10))


def test_every_way_is_a_preprocessing() -> None:
    for made in (Preprocess(), CT, MonaiChain("transforms.py:build", "00", compose=[abs])):
        assert isinstance(made, Preprocessing)


def test_plans_of_before_keep_their_identity() -> None:
    """The hashes that stand in the records of finished runs."""
    encoded = encode(Preprocess((224, 224), 3, (127.5,), (127.5,)))
    assert encoded == {
        "type": "Preprocess",
        "fields": {"size": [224, 224], "channels": 3, "mean": [127.5], "std": [127.5]},
    }
    assert digest(Preprocess(mean=(127.5,), std=(63.0,))) == (
        "05c72b14a7c5bb2290d1e5d09318c9d7f39dbd677bd6f086a7df4cdd98efcf23"
    )


EVERY = Chain(
    (
        Rescale(2.0, 1.0), Window(0.0, 2.0), Clip(-1.0, 1.0), Invert(0.0, 1.0), Resample((1.0, 1.0), (2.0, 1.0)),
        Resize((3, 4), "cubic", False), Pad((9, 9), 1.0), CentreCrop((3, 3)), CropToBody(0.5, 1, (3, 3)), ToRGB(4),
        Normalise((1.0,), (2.0,)), PerImage("percentile", 1.0, 99.0, True, True), Reorder((1, 0), (0,)),
    )
)  # fmt: skip


def test_chains_come_back_from_their_identity() -> None:
    assert {type(step).__name__ for step in EVERY.steps} <= {name.rpartition(".")[2] for name in NAMES}
    assert decode(encode(EVERY)) == EVERY and hash(decode(encode(EVERY))) == hash(EVERY)
    changed = {digest(replace(EVERY, steps=EVERY.steps[:number] + EVERY.steps[number + 1 :])) for number in range(13)}
    assert len(changed) == 13 and digest(EVERY) not in changed
    assert digest(Chain(EVERY.steps[::-1])) != digest(EVERY)


def test_loaded_transforms_are_no_part_of_an_identity() -> None:
    one = MonaiChain("t.py:build", "aa", True, compose=[abs])
    assert decode(encode(one)) == one and one == MonaiChain("t.py:build", "aa", True)
    assert len({digest(other) for other in (one, replace(one, digest="bb"), replace(one, straight_through=False))}) == 3


def test_a_chain_serves_training() -> None:
    """Batches, gradients to the weights, autocast: the network trains on the very input that is audited."""
    values = torch.rand(4, 1, 12, 10, generator=torch.Generator().manual_seed(0)) * 2000 - 1000
    layer = torch.nn.Conv2d(3, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prepared = CT(values)
        loss = layer(prepared).float().square().mean()
    assert prepared.dtype == torch.float32 and torch.equal(prepared, CT(values))
    loss.backward()
    assert layer.weight.grad is not None and math.isfinite(float(layer.weight.grad.abs().sum()))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(values), batch_size=2)
    assert torch.equal(torch.cat([CT(batch) for (batch,) in loader]), prepared)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same() -> None:
    values = (torch.rand(2, 1, 12, 10) * 3 - 1).double()
    chain = Chain((*EVERY.steps[:-2], EVERY.steps[-1]))
    torch.testing.assert_close(chain(values.cuda()).cpu(), chain(values), rtol=1e-9, atol=1e-9)


def test_memory_is_a_few_copies_of_the_images() -> None:
    """Bytes that steps keep for the backward pass, counted by the hooks of autograd."""
    values = torch.rand(1, 1, 64, 64, 64).requires_grad_()
    chain = Chain(
        (Clip(0.0, 0.9), Window(0.1, 0.8), PerImage("zscore"), Resize((32, 32, 32)), Normalise((0.1,), (2.0,)))
    )
    kept: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: (kept.__setitem__(tensor.data_ptr(), tensor.nbytes), tensor)[1], lambda tensor: tensor
    ):
        chain(values)
    assert sum(kept.values()) < 8 * values.nbytes
