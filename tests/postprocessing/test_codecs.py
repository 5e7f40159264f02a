"""Small images are coded together, with the numbers that separate files have."""

import pytest
import torch

from palpate.postprocessing import parse
from palpate.units import Scale


@pytest.mark.parametrize("shape", [(40, 1, 28, 28), (3, 4, 12, 9), (2, 1, 5, 33, 17), (3, 3, 28, 30)])
@pytest.mark.parametrize("name", ["jpeg75", "jpeg2000"])
def test_small_images_that_are_coded_together_have_the_numbers_of_separate_files(
    name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)).mul(255).round()
    step = parse(name, Scale((0.0, 255.0), step=1.0, known=True))
    together = step(images)
    monkeypatch.setattr("palpate.postprocessing.codecs._TOGETHER", 1)
    assert torch.equal(together, step(images)) and together.is_contiguous()
    assert not torch.equal(together, images)
