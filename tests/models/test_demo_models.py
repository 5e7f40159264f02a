"""The demo's segmenter and detector on phantoms of seeds that their training never draws."""

from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.torch import load as read_safetensors

from palpate.annotations import Boxes
from palpate.data.phantoms import ARTEFACTS, LUNGS, endoscopy_set, thorax_set
from palpate.data.phantoms.folder import OFFSET, labelled
from palpate.models.demo import endoscopy as demo_endoscopy
from palpate.models.demo import fundus as demo
from palpate.models.demo import thorax as demo_thorax
from palpate.tasks.boxes import matched
from palpate.tasks.detection import Detection

MODULES = (demo, demo_thorax, demo_endoscopy)


def normalised(module, images):
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (module.MEAN, module.STD))
    return (images - mean) / std


def shipped(module):
    return resources.files("palpate.models.demo").joinpath(module.WEIGHTS).read_bytes()


def test_all_weights_together_are_below_two_megabytes():
    assert sum(len(shipped(module)) for module in MODULES) < 2_000_000


@pytest.mark.parametrize("module", MODULES)
def test_weights_fit_their_network_and_are_half_precision(module):
    stored, built = read_safetensors(shipped(module)), module.build().state_dict()
    assert {name: value.shape for name, value in stored.items()} == {name: v.shape for name, v in built.items()}
    assert all(torch.isfinite(value).all() for value in stored.values())
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}


@pytest.mark.parametrize("module", MODULES)
def test_networks_come_in_eval_mode_and_full_precision(module):
    network = module.load()
    assert not any(part.training for part in network.modules())
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_names_are_those_of_the_phantoms():
    assert demo_thorax.STRUCTURES[:2] == LUNGS
    assert demo_endoscopy.CLASSES == ARTEFACTS


def test_lungs_and_lesions_of_fresh_phantoms_are_outlined():
    images, lungs, lesions = thorax_set(24, seed=20_000_001)
    truth = torch.from_numpy(labelled(lungs, lesions))
    with torch.inference_mode():
        stored = torch.from_numpy(images[:, None].astype(np.float32) + OFFSET)
        said = demo_thorax.load()(normalised(demo_thorax, stored)).argmax(1)
    for label, least in ((1, 0.95), (2, 0.95), (3, 0.75)):
        found, true = said == label, truth == label
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > least


def test_artefacts_of_fresh_phantoms_are_found():
    images, boxes, labels = endoscopy_set(32, seed=20_000_001)
    most = max(map(len, labels))
    corners, names = torch.zeros(32, most, 4), torch.full((32, most), -1)
    for i, (mine, said) in enumerate(zip(boxes, labels, strict=True)):
        corners[i, : len(mine)], names[i, : len(mine)] = torch.from_numpy(mine) / 128, torch.from_numpy(said)
    task = Detection(len(ARTEFACTS), confidence=demo_endoscopy.CONFIDENCE)
    with torch.inference_mode():
        candidates = demo_endoscopy.load()(
            normalised(demo_endoscopy, torch.from_numpy(images).permute(0, 3, 1, 2).float())
        )
        decided = task.predict(candidates)
    hits = int((matched(decided, Boxes(corners, names), 0.5) >= 0).sum())
    assert hits / int((names >= 0).sum()) > 0.9
    assert (int((decided.labels >= 0).sum()) - hits) / 32 < 0.5
