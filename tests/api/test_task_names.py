"""`task` as a word, wherever a function takes one, and what is no task."""

import pytest
import torch
from torch import nn

import palpate
from palpate.errors import InputError
from palpate.tasks.segmentation import Segmentation

IMAGES = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))
MASKS = (IMAGES[:, 0] > 0.5).long()


class Threshold(nn.Module):
    """Marks what is brighter than a half, with one weight to train."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, images):
        return torch.cat([0 * images, self.scale * (images - 0.5)], 1)


def certified(task):
    return palpate.certify(Threshold(), IMAGES[:2], MASKS[:2], 0.1, samples=20, select=5, attack=False, task=task)


def hardened(task, **given):
    kept = IMAGES[:2].clamp(max=0.9), MASKS[:2, None]
    settings = {"epochs": 1, "batch": 2, "validation": kept, **given}
    return palpate.harden(Threshold(), IMAGES[2:], MASKS[2:, None], "pgd", eps=0.05, task=task, **settings)


def test_a_word_certifies_as_the_task_does():
    word, task = certified("segmentation"), certified(Segmentation(1))
    assert word.describe() == task.describe()


def test_a_word_trains_as_the_task_does():
    word = hardened("segmentation")
    task = palpate.harden(
        Threshold(), IMAGES[2:], MASKS[2:], "pgd", eps=0.05, task=Segmentation(1), epochs=1, batch=2,
        validation=(IMAGES[:2].clamp(max=0.9), MASKS[:2]),
    )  # fmt: skip
    assert [row.loss for row in word.epochs[1:]] == [row.loss for row in task.epochs[1:]]


@pytest.mark.parametrize("call", [certified, hardened])
@pytest.mark.parametrize(("task", "text"), [("masks", "there is no 'masks'"), (3, "3 is not a task")])
def test_what_is_no_task_is_refused(call, task, text):
    with pytest.raises(InputError, match=f"^task: {text}"):
        call(task)


def test_what_cannot_be_told_of_progress_is_refused():
    with pytest.raises(InputError, match=r"^progress: 3 has no method start, step, epoch, message"):
        hardened("segmentation", progress=3)
