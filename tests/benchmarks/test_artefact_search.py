"""The benchmark of the artefact search: equal questions, and what its rows count."""

from __future__ import annotations

from pathlib import Path

import torch
from benchmarks.artefact_search import HEAD, NOTHING, SHARES, compared, right_ones
from benchmarks.artefact_subjects import SUBJECTS, Subject

from palpate.artefacts.catalog import of_modality
from palpate.tasks.classification import Classification
from palpate.victim import Victim
from tests.artefacts.search.planted import Darker, Spot, flat, one_pixel


def planted(module) -> tuple[Subject, Victim]:
    subject = Subject("planted", "xray", "", lambda folder, split: (flat(4), torch.zeros(4)), lambda: module,
                      Classification(2), 1)  # fmt: skip
    return subject, Victim(module, (0.0, 255.0))


def test_both_searches_ask_the_same_and_the_row_counts_images():
    module = one_pixel(4.0)
    subject, victim = planted(module)
    row = compared(subject, victim, Spot(), flat(2), torch.zeros(2, dtype=torch.int64), SHARES, 5.0, 0)
    assert victim.forwards == 2 * 2 * (1 + NOTHING.tries) and sum(SHARES) == NOTHING.tries
    assert (row.worse, row.equal, row.better) == (2, 0, 0) and row.failed[1] == 2
    assert row.clean == 1 and row.found == 0 and row.random == 1 - row.failed[0] / 2
    assert row.markdown().count("|") == HEAD.split("\n")[0].count("|") == HEAD.split("\n")[1].count("|")


def test_nothing_to_choose_gives_equal_images():
    subject, victim = planted(one_pixel())
    row = compared(subject, victim, Darker(), flat(3), torch.zeros(3, dtype=torch.int64), SHARES, 3.0, 0)
    assert (row.worse, row.equal, row.better) == (0, 3, 0)


def test_images_are_right_and_evenly_spaced():
    subject, victim = planted(one_pixel(100.0))
    rows = right_ones(subject, victim, flat(12, 89.0, 111.0), torch.zeros(12, dtype=torch.int64), 3)
    assert rows.tolist() == [6, 8, 10]


def test_examples_are_of_known_modalities_and_read_what_their_scene_says():
    for subject in SUBJECTS:
        assert of_modality(subject.modality) and Path(subject.folder).name == subject.folder
        low, high = subject.scene.bounds
        assert subject.stored(torch.tensor([0.0, 255.0])).tolist() == [low, high]
