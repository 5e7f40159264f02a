"""What the tests of artefacts share: one artefact with named parameters on one image."""

import torch

from palpate.artefacts.artefact import Scene
from palpate.artefacts.catalog import make
from palpate.streams import Streams


def made(name, image, bounds=(0.0, 1e6), spacing=None, seed=0, **given):
    """The image (C, *spatial) with an artefact, before it is rounded and clipped.

    Parameters that are not given are null, or in the middle of their range; blanks in names are underscores.
    """
    artefact = make(name)
    names = {parameter.name.replace(" ", "_").replace("^", ""): parameter for parameter in artefact.parameters}
    assert set(given) <= set(names), (given, list(names))
    theta = [
        float(given.get(key, p.null if p.levels is not None else (p.low + p.high) / 2)) for key, p in names.items()
    ]
    bound = artefact.bind(image, Scene(bounds, spacing), Streams([seed]))
    return bound(torch.tensor([theta], dtype=torch.float64))[0]


def blobs(height, width, seed=0):
    """Soft bright spots on air, float64."""
    down, right = (torch.arange(size, dtype=torch.float64) / size for size in (height, width))
    down, right = torch.meshgrid(down, right, indexing="ij")
    drawn = torch.rand(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spots = [(1 + c) * torch.exp(-((down - a) ** 2 + (right - b) ** 2) / 0.02) for a, b, c in drawn * 0.6 + 0.2]
    return torch.stack(spots).sum(0)
