"""The public contract of artefacts, over the whole catalogue."""

from __future__ import annotations

import math

import pytest
import torch

from palpate.artefacts.artefact import Scene
from palpate.artefacts.catalog import artefacts, make
from palpate.checks.artefact import ARTEFACT_CONTRACTS, ArtefactCase

_SIZE, _DEPTH = 48, 12


def _body(shape):
    """An ellipse with two organs and fine structure, from 0 to 1; in a volume the first organ runs aslant."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    down, right = axes[-2], axes[-1]
    depth = axes[0] if len(shape) == 3 else 0.0
    body = ((down / 0.75) ** 2 + (right / 0.85) ** 2 < 1).float()
    organs = torch.exp(-((down - 0.2 - 0.3 * depth) ** 2 + (right + 0.3) ** 2) * 12) - 0.6 * torch.exp(
        -((down + 0.1) ** 2 + (right - 0.4) ** 2) * 25
    )
    fine = 0.06 * torch.sin(9 * down + 4 * right) * torch.cos(11 * right)
    return (0.5 * body + 0.4 * body * organs + body * fine).clamp(0, 1)


def case_of(name, axes=2, channels=1):
    """Two images that the artefact can act on."""
    artefact = make(name)
    shape = (_SIZE, _SIZE) if axes == 2 else (_DEPTH, _SIZE, _SIZE)
    one = _body(shape)
    images = torch.stack([one, 0.8 * one.flip(-1)])[:, None]
    spacing = (4.0,) * axes
    if "HU" in artefact.needs:
        values = (images * 2000 - 1000).clamp(-1000, 300).round()
        return ArtefactCase(artefact, values, Scene((-1024.0, 3071.0), spacing, "HU"))
    if channels == 3:
        images = torch.cat([images, 0.8 * images, 0.6 * images], 1)
    return ArtefactCase(artefact, (30 + images * 190).round(), Scene((0.0, 255.0), spacing))


def _cases():
    for name in artefacts():
        artefact = make(name)
        channels = 3 if "colour" in artefact.needs else 1
        for axes in artefact.dimensions:
            yield pytest.param(name, axes, channels, id=f"{name}-{axes}d")


@pytest.mark.parametrize("contract", ARTEFACT_CONTRACTS.values(), ids=ARTEFACT_CONTRACTS)
@pytest.mark.parametrize(("name", "axes", "channels"), list(_cases()))
def test_contract(name, axes, channels, contract):
    contract(case_of(name, axes, channels))


@pytest.mark.parametrize("name", artefacts())
def test_in_double(name):
    case = case_of(name, make(name).dimensions[0], 3 if "colour" in make(name).needs else 1)
    double = ArtefactCase(case.artefact, case.images.double(), case.scene, case.step)
    made = double.apply(double.theta(3.0))
    assert made.dtype == torch.float64
    assert bool(made.isfinite().all())


def test_the_catalogue_names_sources():
    for entry in artefacts().values():
        assert entry.reference and entry.summary.endswith(".") and entry.modalities
        made = make(entry.name)
        assert made.name == entry.name
        for parameter in made.parameters:
            assert math.isfinite(parameter.low) and math.isfinite(parameter.high)
