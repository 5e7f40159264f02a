"""Identities that commit 18eab80 gave to attacks, shards, models and images: today's are the same."""

import json
import shutil
from pathlib import Path

import pytest

from palpate import catalog
from tests.old_runs.identities import identities
from tests.old_runs.plans import KEPT

RENEWED = {
    "classes, l1": ("9", "10"),
    "confined, l1, channels = [1, 0.5, 0]": ("9", "10"),
}
"""Attacks that compute other things now: `apgd-ce` and `apgd-margin` in L1, whose steps adapt their sparsity.
Their identities have to differ, so that new records are not mixed with old ones."""
OLD = Path(__file__).parent / "old_runs"
STORED = json.loads((OLD / "identities.json").read_text())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    shutil.unpack_archive(OLD / "inputs.zip", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("title", STORED)
def test_a_plan_has_the_identities_that_it_had(title: str, inputs: Path, tmp_path: Path) -> None:
    now, then = identities(KEPT[title], inputs, tmp_path / "run"), STORED[title]
    for name in RENEWED.get(title, ()):
        # A plan of one shard for each attack: that of a renewed attack has its place.
        place = list(then["attacks"]).index(name)
        assert now["attacks"].pop(name) != then["attacks"][name]
        assert now["shards"].pop(place) != then["shards"][place]
        now["attacks"][name], now["shards"][place:place] = then["attacks"][name], [then["shards"][place]]
    assert now == then


def test_the_plans_reach_the_whole_catalogue_of_then() -> None:
    attacked = {line.split('"')[1] for text in KEPT.values() for line in text.splitlines() if line[:8] == "attack ="}
    assert set(STORED) == set(KEPT)
    assert attacked <= set(catalog.attacks()) and len(attacked) == 20
