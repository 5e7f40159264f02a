import pytest
import torch

from palpate.annotations import Boxes, Masks
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.hardening.data.augment import Flips, Sample, Shift, augment_of
from palpate.tensors import leaves

OWN = """
def brighter():
    def change(image, target, generator):
        return image + 10.4, target
    return change

def broken():
    return lambda image, target, generator: image

def failing():
    def change(image, target, generator):
        raise ValueError("no such tissue")
    return change
"""


def sample(shape=(1, 1, 20, 30), targets=None):
    image = torch.arange(torch.tensor(shape).prod()).float().reshape(shape)
    return Sample(image, torch.tensor([1]) if targets is None else targets, Limits())


def box_of(mask):
    rows, columns = (mask[0, 0] > 0).nonzero().T
    height, width = mask.shape[2:]
    return torch.tensor(
        [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
    )


@pytest.mark.parametrize("change", [Shift(), Flips()])
@pytest.mark.parametrize("seed", range(6))
def test_masks_boxes_and_regions_move_with_the_image(change, seed):
    drawn = torch.zeros(1, 1, 20, 30)
    drawn[0, 0, 6:10, 8:16] = 1
    masks, region = Masks((drawn[:, 0] > 0).long()), drawn > 0
    found = change(Sample(drawn, masks, Limits(region=region)), torch.Generator().manual_seed(seed))
    assert torch.equal(found.image[:, 0] > 0, found.targets.labels > 0)
    assert torch.equal(found.image > 0, found.limits.region)
    boxes = Boxes(box_of(drawn)[None, None], torch.tensor([[2]]))
    found = change(Sample(drawn, boxes, Limits()), torch.Generator().manual_seed(seed))
    assert torch.allclose(found.targets.boxes[0, 0], box_of(found.image), atol=1e-6)
    assert found.targets.labels.tolist() == [[2]]


@pytest.mark.parametrize("change", [Shift(), Flips()])
def test_changes_are_repeatable_keep_values_and_the_given_sample(change):
    given = sample()
    before = given.image.clone()
    one, two = (change(given, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert torch.equal(given.image, before)
    assert set(one.image.flatten().tolist()) <= set(before.flatten().tolist())
    assert any(not torch.equal(change(given, torch.Generator().manual_seed(seed)).image, before) for seed in range(5))


def test_a_box_that_leaves_the_image_is_padding():
    from palpate.hardening.data.augment import _moved

    boxes = Boxes(torch.tensor([[[0.0, 0.0, 0.04, 0.5], [0.3, 0.3, 0.6, 0.6]]]), torch.tensor([[0, 1]]))
    found = _moved(boxes, 1, -0.05)
    assert found.labels.tolist() == [[-1, 1]]
    assert torch.allclose(found.boxes[0, 1], torch.tensor([0.25, 0.3, 0.55, 0.6]))


def test_volumes_with_overlapping_structures_move():
    labels = torch.zeros(1, 2, 8, 9, 10).long()
    labels[0, 1, 2:4, 3:5, 6:9] = 1
    found = Flips()(Sample(labels[:, 1:].float(), Masks(labels), Limits()), torch.Generator().manual_seed(1))
    assert torch.equal(found.image[:, 0] > 0, found.targets.labels[:, 1] > 0)


def test_an_own_function_is_clipped_and_rounded_to_stored_steps(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    change = augment_of("own.py:brighter", tmp_path, (0, 255), region=False)
    steps = Limits(None, torch.tensor([0.5]).double(), torch.tensor([0.0]).double())
    found = change(Sample(torch.full((1, 1, 4, 4), 100.0), torch.tensor([0]), steps), torch.Generator())
    assert found.image.unique().tolist() == [110.5]
    found = change(Sample(torch.full((1, 1, 4, 4), 250.0), torch.tensor([0]), Limits()), torch.Generator())
    assert found.image.unique().tolist() == [255.0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.py:broken", "must return .image, annotation."),
        ("own.py:failing", "no such tissue"),
        ("own.py:missing", "harden.augment: .*no function 'missing'"),
        ("mirror", "is not none, shift, flips"),
    ],
)
def test_errors_of_an_own_function_name_it(tmp_path, name, text):
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(InputError, match=text):
        augment_of(name, tmp_path, (0, 255), region=False)(sample(), torch.Generator())


def test_a_region_cannot_follow_an_own_function(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(InputError, match=r"threat.region would not move along"):
        augment_of("own.py:brighter", tmp_path, (0, 255), region=True)


KINDS = """
import torch
from palpate.annotations import Boxes

def giving(change):
    return lambda: lambda image, target, generator: (image, change(target))

nothing = giving(lambda target: None)
number = giving(int)
half = giving(lambda target: target + 0.5)
pair = giving(lambda target: torch.stack([target, target]))
cut = giving(lambda target: target[1:])
fewer = giving(lambda target: Boxes(target.boxes[1:], target.labels[1:]))
same = giving(lambda target: target)

def channels():
    return lambda image, target, generator: (image.repeat(3, 1, 1), target)

def itself(image, target, generator):
    return image, target
"""
MASKED = Masks(torch.zeros(1, 20, 30, dtype=torch.int64))
BOXED = Boxes(torch.tensor([[[0.1, 0.1, 0.4, 0.4], [0.2, 0.2, 0.5, 0.5]]]), torch.tensor([[0, 1]]))
ANOTHER = "returned .image, annotation. with another annotation than it got"


@pytest.mark.parametrize(
    ("name", "targets", "text"),
    [
        ("nothing", None, rf"{ANOTHER} .NoneType"),
        ("half", None, rf"{ANOTHER} .float32 of shape"),
        ("pair", None, ANOTHER),
        ("cut", MASKED, ANOTHER),
        ("nothing", BOXED, ANOTHER),
        ("fewer", BOXED, ANOTHER),
        ("channels", None, r"an image of shape \[3, 20, 30\] for one of \[1, 20, 30\]"),
        ("itself", None, r"itself\(image, target, generator\) is a factory: it is called once, without arguments"),
    ],
)
def test_what_an_own_function_gives_is_what_it_got(tmp_path, name, targets, text):
    (tmp_path / "own.py").write_text(KINDS)
    with pytest.raises(InputError, match=rf"harden.augment: own.py:.*{text}"):
        augment_of(f"own.py:{name}", tmp_path, (0, 1e6), region=False)(sample(targets=targets), torch.Generator())


@pytest.mark.parametrize(("name", "targets"), [("number", None), ("same", MASKED), ("same", BOXED)])
def test_annotations_of_the_right_kind_are_taken(tmp_path, name, targets):
    (tmp_path / "own.py").write_text(KINDS)
    given = sample(targets=targets)
    found = augment_of(f"own.py:{name}", tmp_path, (0, 1e6), region=False)(given, torch.Generator())
    for one, two in zip(leaves(found.targets), leaves(given.targets), strict=True):
        assert torch.equal(one, two) and one.dtype == two.dtype
