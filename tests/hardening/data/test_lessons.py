import pytest
import torch

from palpate.annotations import Masks
from palpate.errors import InputError
from palpate.hardening.data.augment import Shift
from palpate.hardening.data.lessons import TrainingImages
from palpate.hardening.data.reading import Tensors
from palpate.hardening.material import load_material
from palpate.victim import Victim
from tests.hardening import tiny


def lessons(count=13, size=4, window=None, shape=(1, 8, 8), augment=None, seed=0):
    images = torch.arange(count).float()[:, None, None, None] + torch.zeros(count, *shape)
    if window is not None:
        images = torch.rand(count, *shape)
    targets = torch.arange(count) if window is None else Masks((images[:, 0] > 0.98).long())
    victim = Victim(torch.nn.Identity())
    return TrainingImages(Tensors(images, targets), victim, tuple(range(count)), size, seed, augment, window)


def test_each_epoch_shows_every_image_once_in_another_order():
    given = lessons()
    orders = [[int(label) for batch in given.epoch(number) for label in batch.targets] for number in (1, 2)]
    assert [sorted(order) for order in orders] == [list(range(13))] * 2
    assert orders[0] != orders[1]
    assert len(given) == len(list(given.epoch(1)))


def test_a_batch_does_not_depend_on_those_before_it():
    given = lessons(augment=Shift())
    whole, rest = list(given.epoch(3)), list(given.epoch(3, start=2))
    for one, two in zip(whole[2:], rest, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.targets, two.targets)
        assert one.streams.seeds == two.streams.seeds


def test_no_batch_holds_one_image_only():
    assert sorted(len(batch.images) for batch in lessons(13, 4).epoch(1)) == [4, 4, 5]


def test_random_numbers_differ_from_epoch_to_epoch_and_image_to_image():
    given = lessons()
    seeds = [batch.streams.seeds for number in (1, 2) for batch in given.epoch(number)]
    flat = [seed for batch in seeds for seed in batch]
    assert len(set(flat)) == 26


def test_windows_are_cut_alike_from_image_and_mask_and_half_are_on_the_structure():
    given = lessons(40, 8, window=(6, 6), shape=(1, 20, 24))
    shown = list(given.epoch(1))
    assert all(batch.images.shape[1:] == (1, 6, 6) for batch in shown)
    for batch in shown:
        assert torch.equal((batch.images[:, 0] > 0.98).long(), batch.targets.labels)
    share = torch.cat([batch.targets.labels.flatten(1).any(1) for batch in shown]).float().mean()
    assert share > 0.55


def test_images_smaller_than_the_window_stay_whole():
    (batch, *_) = lessons(4, 4, window=(30, 10), shape=(1, 20, 24)).epoch(0)
    assert batch.images.shape == (4, 1, 20, 10)


def test_a_plan_gives_its_training_rows(tmp_path):
    material = load_material(tiny.write(tmp_path))
    assert not set(material.rows.training) & set(material.rows.validation)
    assert len(material.rows.training) + len(material.rows.validation) == tiny.COUNT - tiny.TESTED
    shown = sum(len(batch.images) for batch in material.lessons.epoch(1))
    assert shown == len(material.rows.training)
    assert material.eps == 8.0
    (batch, *_) = material.lessons.epoch(1)
    assert batch.limits.step is not None
    assert material.judged.module is material.training.victim.module


def test_an_augmentation_that_mixes_sizes_is_a_sentence():
    def cut(given, generator):
        return given._replace(image=given.image[:, :, : 5 + int(given.targets) % 2])

    with pytest.raises(InputError, match=r"harden.augment: .* into \[[56], 8\] and \[[56], 8\].* to a fixed one"):
        list(lessons(augment=cut).epoch(1))
