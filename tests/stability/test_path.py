"""The geometry of a path against numpy, and every case in which a part of it does not exist."""

import numpy as np
import pytest
import torch

from palpate.stability import path as module
from palpate.stability.path import path, products


def walk(steps=7, count=3, seed=0, shape=(2, 5, 4)):
    """Clean images and x_0 .. x_T of a random walk that starts away from them."""
    numbers = torch.Generator().manual_seed(seed)
    clean = torch.randn(count, *shape, generator=numbers, dtype=torch.float64) * 100
    moves = torch.randn(steps + 1, count, *shape, generator=numbers, dtype=torch.float64)
    return clean, list(clean + moves.cumsum(0))


def changes(images, clean):
    """d_t as numpy (B, T + 1, N)."""
    return np.stack([(image - clean).flatten(1).numpy() for image in images], 1)


def straight(lengths, start=0.0):
    """One image whose change is `start` everywhere, and then moves along one direction."""
    clean = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    way = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64).view(1, 1, 2, 2)
    return clean, [clean + start + length * way for length in lengths]


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.mark.parametrize("at_once", [1, 100, 2**18])
def test_products_and_largest_changes_are_those_of_numpy_in_parts_of_any_size(monkeypatch, at_once):
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", at_once)
    clean, images = walk()
    inner, largest = products(images, clean)
    d = changes(images, clean)
    assert np.allclose(inner, np.einsum("btn,bun->btu", d, d))
    assert np.array_equal(largest, np.abs(d).max(2))


def test_changes_are_formed_beyond_the_precision_of_the_images():
    clean = torch.full((1, 1, 100, 100), 3000.3)
    moved = torch.nextafter(clean, clean + 1)
    inner, largest = products([clean, moved], clean)
    gap = float(moved.flatten()[0].double() - clean.flatten()[0].double())
    assert float(largest[0, 1]) == gap
    assert float(inner[0, 1, 1]) == pytest.approx(1e4 * gap**2, rel=1e-12)


def test_lengths_and_cosines_are_those_of_numpy():
    clean, images = walk()
    d = changes(images, clean)
    s = np.diff(d, axis=1)
    found = path(products(images, clean)[0])
    assert np.allclose(found.l2, np.linalg.norm(d, axis=2))
    assert found.cos_step[:, :2].isnan().all()
    assert np.allclose(found.cos_step[:, 2:], cosine(s[:, 1:], s[:, :-1]))
    assert np.allclose(found.cos_final, cosine(d, d[:, -1:]))


def test_the_plane_is_that_of_the_first_and_the_last_step_that_move():
    clean, images = walk()
    # The first two steps and the last one do not move.
    images = [images[0]] * 2 + images + [images[-1]]
    found = path(products(images, clean)[0])
    for row, d in enumerate(changes(images, clean)):
        s = np.diff(d, axis=0)
        first, last = s[2], s[-2]
        a = first / np.linalg.norm(first)
        beside = last - a * np.linalg.lstsq(a[:, None], last, rcond=None)[0]
        axes = np.stack([a, beside / np.linalg.norm(beside)], 1)
        wanted = np.linalg.lstsq(axes, d.T, rcond=None)[0]
        assert np.allclose([found.plane_x[row], found.plane_y[row]], wanted)
        # The last step rises along b, whichever way it turns.
        assert found.plane_y[row, -1] > found.plane_y[row, -3]
        inside = np.stack([first, last], 1) @ np.linalg.lstsq(np.stack([first, last], 1), d[-1], rcond=None)[0]
        assert float(found.plane_share[row]) == pytest.approx((inside**2).sum() / (d[-1] ** 2).sum())


def test_two_steps_from_the_image_itself_lie_in_their_plane():
    clean, images = walk(steps=1)
    assert np.allclose(path(products([clean, *images], clean)[0]).plane_share, 1)


@pytest.mark.parametrize("lengths", [(0, 2), (0, 1, 3, 4), (0, 2, 1)], ids=["one step", "parallel", "back"])
def test_where_all_steps_are_parallel_the_plane_is_a_line(lengths):
    clean, images = straight(lengths)
    found = path(products(images, clean)[0])
    norm = np.sqrt(14.25)
    assert np.allclose(found.plane_x, np.array(lengths) * norm)
    assert np.array_equal(found.plane_y, np.zeros((1, len(lengths))))
    assert float(found.plane_share) == pytest.approx(1)


def test_on_a_line_the_share_counts_the_part_along_it():
    clean, images = straight((0, 1), start=1.0)
    found = path(products(images, clean)[0])
    d = changes(images, clean)[0, -1]
    along = d @ np.array([3, -1, 2, 0.5]) / np.sqrt(14.25)
    assert float(found.plane_share) == pytest.approx(along**2 / (d @ d))
    assert float(found.plane_share) < 0.95


def test_without_a_step_there_is_no_plane_and_no_angle():
    clean, images = straight((1, 1, 1))
    found = path(products(images, clean)[0])
    assert all(part.isnan().all() for part in (found.cos_step, found.plane_x, found.plane_y, found.plane_share))
    assert np.allclose(found.l2, np.sqrt(14.25))
    assert np.allclose(found.cos_final, 1)


def test_a_change_that_stays_or_ends_at_nothing_has_no_angle_to_its_end():
    for lengths in ((0, 0, 0), (0, 1, 0)):
        clean, images = straight(lengths)
        found = path(products(images, clean)[0])
        assert found.cos_final.isnan().all()
        assert found.plane_share.isnan().all()
    assert np.allclose(found.cos_step[0, 2:], -1)


def test_a_step_without_length_has_no_angle_to_its_neighbours():
    clean, images = straight((0, 1, 1, 2, 3))
    turned = path(products(images, clean)[0]).cos_step[0]
    assert turned[:4].isnan().all()
    assert float(turned[4]) == pytest.approx(1)


def test_rounding_of_stored_values_makes_no_second_direction():
    clean = torch.full((1, 1, 16, 16), 1000.1)
    step = torch.full_like(clean, 0.1) * torch.arange(256).view(1, 1, 16, 16) / 64
    found = path(products([clean, clean + step, clean + step + step * 1.5], clean)[0])
    assert np.array_equal(found.plane_y, np.zeros((1, 3)))
