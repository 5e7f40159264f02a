"""The maps of spread against numpy, channel by channel, and where there is none."""

import numpy as np
import torch

from palpate.stability import spread_images, spread_starts


def final(starts=3, count=4, channels=2):
    return torch.randn(starts, count, channels, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_spread_over_starts_is_the_mean_over_channels_of_each_ones_deviation():
    last = final()
    assert np.allclose(spread_starts(last), last.numpy().std(0, ddof=1).mean(1))


def test_channels_that_move_against_each_other_do_not_cancel():
    last = final(channels=1)
    assert np.allclose(spread_starts(torch.cat([last, -last], 2)), spread_starts(last))


def test_spread_over_starts_asks_for_several_that_differ():
    assert spread_starts(final(starts=1)).isnan().all()
    nothing = spread_starts(final(), draws=False)
    assert nothing.isnan().all() and nothing.shape == (4, 5, 6)


def test_spread_over_images_leaves_out_those_that_were_not_attacked():
    last = final()
    kept = last.numpy()[:, [0, 1, 3]]
    last[:, 2] = torch.nan
    assert np.allclose(spread_images(last), kept.std(1, ddof=1).mean((0, 1)))


def test_repeating_a_start_does_not_change_the_spread_over_images():
    last = final(starts=1)
    assert np.allclose(spread_images(last.repeat(3, 1, 1, 1, 1)), spread_images(last))


def test_one_image_has_no_spread_over_images():
    assert spread_images(final(count=1)) is None


def test_volumes_keep_all_their_axes():
    last = torch.randn(2, 3, 1, 4, 5, 6)
    assert spread_starts(last).shape == (3, 4, 5, 6)
    assert spread_images(last).shape == (4, 5, 6)
