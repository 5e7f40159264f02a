"""Directions bend each sample's gradient by its own past, and move it where they say."""

import torch

from palpate.attacks.directions import Diversity, Momentum, Nesterov, Translation
from palpate.checks import victims
from palpate.streams import Streams
from palpate.threats.ball import Linf


def gradients(count=4):
    drawn = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn * torch.tensor([1.0, 10.0, 0.1, 1000.0], dtype=torch.float64).reshape(-1, 1, 1, 1)


def test_momentum_is_the_sum_of_each_samples_own_normalised_gradients():
    first, second = gradients(), gradients().flip(3)
    rule = Momentum(0.5)
    bent, state = rule.transform_gradient(first, rule.init(first))
    bent, state = rule.transform_gradient(second, state)
    for row in range(len(first)):
        expected = 0.5 * first[row] / first[row].abs().sum() + second[row] / second[row].abs().sum()
        torch.testing.assert_close(bent[row], expected)


def test_a_zero_gradient_leaves_the_momentum_as_it_decays():
    rule = Momentum(0.5)
    _, state = rule.transform_gradient(gradients(), rule.init(gradients()))
    bent, _ = rule.transform_gradient(torch.zeros_like(state), state)
    torch.testing.assert_close(bent, 0.5 * state)


def test_nesterov_looks_ahead_along_its_momentum():
    images = victims.images(4).double()
    space = Linf(2.0).around(images, (0, 255))
    rule = Nesterov(0.8)
    _, state = rule.transform_gradient(gradients(), rule.init(images))
    stride = torch.tensor([1.0, 2.0, 0.0, 4.0], dtype=torch.float64)
    place = rule.lookahead(images, state, stride, space, Streams(range(4)))
    torch.testing.assert_close(place, images + 0.8 * stride.reshape(-1, 1, 1, 1) * state)


def test_translation_smooths_and_keeps_a_constant_gradient():
    flat = torch.full((2, 1, 9, 9), 3.0)
    torch.testing.assert_close(Translation().transform_gradient(flat, None)[0], flat)


def test_diversity_shrinks_each_sample_by_its_own_draw_and_fills_with_the_lowest_value():
    images = torch.full((6, 1, 32, 32), 100.0)
    space = Linf(2.0).around(images, (-1024.0, 3071.0))
    place = Diversity(0.5, 1.0).lookahead(images, None, torch.ones(6), space, Streams(range(6)))
    shares = (place > 0).flatten(1).double().mean(1)
    assert len(set(shares.tolist())) == 6
    assert shares.min() >= 0.2
    assert float(place.min()) == -1024.0
    same = Diversity(0.5, 0.0).lookahead(images, None, torch.ones(6), space, Streams(range(6)))
    torch.testing.assert_close(same, images)
