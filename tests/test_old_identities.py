"""Identities that commit 18eab80 gave to attacks, shards, models and images: today's are the same."""

import json
import shutil
from pathlib import Path

import pytest

from palpate import catalog
from tests.old_runs.identities import identities
from tests.old_runs.plans import KEPT

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
    assert identities(KEPT[title], inputs, tmp_path / "run") == STORED[title]


def test_the_plans_reach_the_whole_catalogue_of_then() -> None:
    attacked = {line.split('"')[1] for text in KEPT.values() for line in text.splitlines() if line[:8] == "attack ="}
    assert set(STORED) == set(KEPT)
    assert attacked <= set(catalog.attacks()) and len(attacked) == 20
