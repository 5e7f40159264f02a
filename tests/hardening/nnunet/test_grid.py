"""What an nnU-Net is trained on: patches in stored values that its network sees as when it is deployed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from palpate.hardening.data.grid import OnGrid, mirrors
from palpate.hardening.data.reading import Table
from palpate.hardening.material import Material, load_material
from palpate.models.nnunet.patches import Patch
from palpate.models.nnunet.pipeline import NnUNet
from palpate.models.nnunet.windows import Windows
from tests.hardening.nnunet import folders
from tests.models.nnunet.cases import CASES, CT, Case

EPS = 60.0


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    folders.stand_in(monkeypatch)


def seen(pipeline: NnUNet, values: Tensor, image: Tensor) -> Tensor:
    """What the network sees of stored values (C, *grid) of an image."""
    channels = pipeline.surveyed(image).channels
    return torch.stack([one.along(channel) for one, channel in zip(channels, values, strict=True)])


@pytest.mark.parametrize("name", CASES)
def test_an_unattacked_volume_is_seen_as_deployed(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    pipeline = case.pipeline(case.written(tmp_path / "model"))
    found = pipeline.prepared(case.image)
    deployed, _ = pipeline._seen(pipeline._turned(case.image))
    assert tuple(deployed.shape[1:]) == pipeline.surveyed(case.image).size
    assert torch.allclose(seen(pipeline, found.values, case.image), deployed, atol=1e-4)


@pytest.mark.parametrize("scheme", ["ZScoreNormalization", "CTNormalization"])
def test_a_change_of_eps_reaches_the_network_as_deployed(scheme: str, tmp_path: Path) -> None:
    case = Case(schemes=(scheme,))
    pipeline = case.pipeline(case.written(tmp_path / "model"))
    for scale, eps in product((0.5, 1.0, 3.0), (EPS, -EPS)):
        image = case.image * scale
        values = pipeline.prepared(image).values
        moved = seen(pipeline, values + eps, image) - seen(pipeline, values, image)
        stored = image[0].permute(2, 1, 0).double()
        if scheme == "CTNormalization":
            low, high = CT["percentile_00_5"], CT["percentile_99_5"]
            wanted = ((stored + eps).clamp(low, high) - stored.clamp(low, high)) / CT["std"]
            assert (wanted != 0).any() and (scale < 3 or (wanted == 0).any())
        else:
            wanted = torch.full_like(stored, eps / float(stored.std(correction=0)))
        assert torch.allclose(moved[0].double(), wanted, atol=1e-4)


@pytest.mark.parametrize("patch", [(8, 8, 8), (8, 6)])
def test_a_patch_is_one_window_without_mirrors(patch: tuple[int, ...], tmp_path: Path) -> None:
    case = Case(size=(6, 7, 1 if len(patch) == 2 else 5), patch=patch, spacing=(1.0,) * len(patch), mirrors=None)
    pipeline = case.pipeline(case.written(tmp_path / "model"))
    data, _ = pipeline._seen(pipeline._turned(case.image))
    trained = Patch(pipeline.windows, pipeline.surveyed(case.image).channels)
    logits = trained(pipeline.prepared(case.image).values[None], case.networks[0])
    deployed = case.networks[0](pipeline.windows.first(data))
    margins = pipeline.windows.margins(data.shape[1:])[-len(patch) :]
    for axis, (before, _) in enumerate(margins, start=2):
        deployed = deployed.narrow(axis, before, logits.shape[axis - deployed.ndim])
    assert torch.allclose(logits, deployed.reshape(logits.shape), atol=1e-4)


def test_marks_lie_where_the_image_has_them(tmp_path: Path) -> None:
    case = replace(CASES["transposed"], zeros=False)
    pipeline = case.pipeline(case.written(tmp_path / "model"))
    mark = torch.zeros(1, *case.size, dtype=torch.uint8)
    mark[:, 5:8, 2:9, 1:6] = 2
    found = pipeline.prepared(1 + 100.0 * mark, mark)
    (marks,) = found.marks
    assert marks.shape == found.values.shape and set(marks.unique().tolist()) == {0, 2}
    assert ((found.values > 100) == (marks == 2)).float().mean() > 0.98


def material(root: Path, plan: str = folders.PLAN, case: Case = folders.CASE) -> Material:
    return load_material(folders.write(root, case, plan))


def test_a_batch_is_of_one_volume_and_is_normalised_by_its_numbers(tmp_path: Path) -> None:
    found = material(tmp_path)
    reader, victim = found.lessons.reader, found.training.victim
    assert isinstance(reader, OnGrid) and isinstance(victim.inferer, Patch)
    scales = {}
    for row in found.rows.training:
        image = found.training.table.image(row).astype(np.float32)
        scales[float(image.std())] = row
    shown = []
    for batch in found.lessons.epoch(1):
        (channel,) = victim.inferer.channels
        assert channel.std in scales
        shown.append(channel.std)
        assert batch.images.shape == (2, 1, 6, 8, 6), "this axis of the volumes is shorter than the patch"
        assert not torch.equal(batch.images[0], batch.images[1])
        assert batch.targets.labels.dtype == torch.int64  # type: ignore[union-attr]
        assert len(set(batch.streams.seeds)) == 2
    assert len(set(shown)) == len(shown) == len(found.rows.training)


def test_volumes_that_do_not_fit_into_memory_are_prepared_again(tmp_path: Path) -> None:
    found = material(tmp_path)
    whole = list(found.lessons.epoch(1))
    reader = found.lessons.reader
    assert isinstance(reader, OnGrid)
    little = replace(found.lessons, reader=OnGrid(reader.subject, reader.pipeline), _cache={}, _held=[2**40])
    little.reader._kept.room = 0  # type: ignore[attr-defined]
    for one, other in zip(whole, little.epoch(1), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets.labels, other.targets.labels)  # type: ignore[union-attr]


def test_regions_and_a_threat_inside_of_a_structure_can_be_trained(tmp_path: Path) -> None:
    case = replace(
        folders.CASE, labels={"background": 0, "whole": [1, 2], "core": [2]}, order=(1, 2), spacing=(1.0, 1.5, 1.5)
    )
    text = folders.PLAN.replace('["anterior", "posterior"]', '["whole", "core"]\nexclusive = false')
    found = material(tmp_path, text.replace("eps = [60]", 'eps = [60]\nregion = ["inside whole"]'), case)
    (batch, *_) = found.lessons.epoch(1)
    labels = batch.targets.labels  # type: ignore[union-attr]
    assert labels.shape == (2, 2, *batch.images.shape[2:]) and (labels[:, 1] <= labels[:, 0]).all()
    assert torch.equal(batch.limits.region, labels[:, :1] == 1)
    logits = found.training.victim.inferer(batch.images, found.training.victim.module)  # type: ignore[misc]
    assert logits.shape == labels.shape and logits.requires_grad


def test_patches_are_mirrored_along_the_axes_of_the_checkpoint() -> None:
    assert mirrors(Patch(Windows((8, 8), (1,))), None).axes == (2,)  # type: ignore[attr-defined]
    assert mirrors(Patch(Windows((8, 8, 8), (0, 2))), None).axes == (0, 2)  # type: ignore[attr-defined]


def test_volumes_of_one_shape_and_two_spacings_are_not_scored_together(tmp_path: Path) -> None:
    found = material(tmp_path)
    judged = Table(replace(found.training, victim=found.judged))
    forms = [judged.form(row) for row in range(folders.TRAINED)]
    assert forms[0] == forms[2] != forms[1] == forms[3]
