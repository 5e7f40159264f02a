"""Particles and drops on the lens, and blur, against computations that share no code with them."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.signal import fftconvolve

from palpate.artefacts import apply
from palpate.artefacts.light.view import View, blurred_disc

WHITE = 200.0


def disc(size: int, radius: float, middle: tuple[float, float]) -> np.ndarray:
    """A disc of value 1 in pixels, with 8 x 8 samples in each pixel."""
    fine = (np.arange(size * 8) + 0.5) / 8
    inside = (fine[:, None] - middle[0]) ** 2 + (fine[None] - middle[1]) ** 2 <= radius**2
    return inside.reshape(size, 8, size, 8).mean((1, 3))


def particles(image: torch.Tensor, **changed: float) -> torch.Tensor:
    """Particles at severity 5 that scatter nothing: the large one in the middle, the other two outside the corners."""
    parameters = {"diameter": 0.2, "opacity": 0.9, "blur disc": 0.1, "scattered light": 0.0}
    for what, share in (("largest", 0.5), ("middle one", 0.0), ("smallest", 1.0)):
        parameters |= {f"{what} from the top": share, f"{what} from the left": share}
    names = {name: changed.get(name.replace(" ", "_"), value) for name, value in parameters.items()}
    return apply("lens-particles", image[None], bounds=(0, 255), parameters=names).images[0]


@pytest.mark.parametrize(("radius", "blur"), [(0.08, 0.1), (0.15, 0.04), (0.06, 0.06)])
def test_a_blurred_disc_is_the_convolution_of_two_discs(radius: float, blur: float) -> None:
    size = 96
    middle = (size / 2, size / 2)
    kernel = disc(size + 1, blur * size, ((size + 1) / 2, (size + 1) / 2))
    expected = fftconvolve(disc(size, radius * size, middle), kernel / kernel.sum(), mode="same")
    view = View.of(torch.zeros(1, size, size, dtype=torch.float64))
    half = torch.tensor([0.5], dtype=torch.float64)
    made = blurred_disc(
        view.distance(half, half), torch.full((1, 1, 1), radius).double(), torch.full((1, 1, 1), blur).double()
    )
    assert np.abs(made[0].numpy() - expected).max() < 0.02
    # Blur moves shadow and loses none of it.
    assert float(made.sum()) / size**2 == pytest.approx(math.pi * radius**2, rel=1e-3)


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("distance", [0.03, 0.08, 0.2, 0.3])
def test_the_derivatives_of_a_blurred_disc_are_finite_differences(distance: float, which: int) -> None:
    values = [torch.tensor([[[value]]], dtype=torch.float64) for value in (distance, 0.15, 0.1)]
    step = 1e-6 * torch.eye(3, dtype=torch.float64)[which].reshape(3, 1, 1, 1)
    more, less = (blurred_disc(*(value + sign * part for value, part in zip(values, step, strict=True)))
                  for sign in (1, -1))  # fmt: skip
    values[which].requires_grad_()
    (found,) = torch.autograd.grad(blurred_disc(*values).sum(), values[which])
    assert float(found) == pytest.approx(float((more - less) / 2e-6), abs=1e-4)


def test_a_particle_stops_its_opacity_of_the_light_in_its_middle_and_none_far_away() -> None:
    even = torch.full((3, 120, 160), WHITE, dtype=torch.float64)
    made = particles(even)
    # The disc of 0.2 holds the blur disc of 0.1: the middle is in full shadow.
    assert torch.allclose(made[:, 60, 80], torch.tensor(WHITE * 0.1, dtype=torch.float64), rtol=1e-6)
    assert torch.equal(made[:, 60, 110:130], even[:, 60, 110:130])
    assert float(made.max()) <= WHITE * (1 + 1e-12)


@pytest.mark.parametrize("blur", [0.05, 0.1, 0.2])
def test_the_light_that_a_particle_stops_does_not_depend_on_the_blur(blur: float) -> None:
    even = torch.full((1, 128, 128), WHITE, dtype=torch.float64)
    # The smaller two are moved away from the corners, so that all three are whole.
    places = {"middle_one_from_the_top": 0.2, "middle_one_from_the_left": 0.2,
              "smallest_from_the_top": 0.8, "smallest_from_the_left": 0.8}  # fmt: skip
    lost = 1 - particles(even, blur_disc=blur, **places).mean() / WHITE
    area = sum(math.pi * (0.1 * share) ** 2 for share in (1, 0.7, 0.5))
    assert float(lost) == pytest.approx(0.9 * area, rel=2e-3)


def test_scattered_light_is_a_share_of_the_mean_of_the_view() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 100, 100, generator=generator, dtype=torch.float64) * 200
    dark, veiled = particles(image, scattered_light=0.0), particles(image, scattered_light=0.4)
    expected = 0.4 * 0.9 * image.mean((1, 2))
    assert torch.allclose((veiled - dark)[:, 50, 50], expected)


def test_behind_a_drop_the_image_is_out_of_focus_and_nothing_changes_elsewhere() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 100, 100, generator=generator, dtype=torch.float64) * 255
    where = {f"{what} from the {side}": 0.5 if what == "largest" else 0.0
             for what in ("largest", "middle one", "smallest") for side in ("top", "left")}  # fmt: skip
    how = {"diameter": 0.3, "defocus": 0.07, "rim": 0.1, "magnification": 1.0}
    made = apply("droplets", image[None], bounds=(0, 255), parameters=where | how).images[0]
    kernel = disc(9, 3.5, (4.5, 4.5))
    expected = convolve(image[0].numpy(), kernel / kernel.sum(), mode="mirror")
    assert np.abs(made[0, 46:54, 46:54].numpy() - expected[46:54, 46:54]).max() < 4
    assert torch.equal(made[0, 80:], image[0, 80:])
