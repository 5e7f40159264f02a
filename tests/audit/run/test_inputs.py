"""A model that is given more than the image: each row has its own inputs, whatever an audit does with it."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.audit.plan.items import items
from palpate.audit.plan.plan import Plan, parse_plan
from palpate.audit.run.runner import audit
from palpate.audit.subject.subject import load_subject, with_own_model
from palpate.audit.work.shards import Shard, run_shard
from palpate.audit.work.survival import Survival
from palpate.errors import InputError, PlanError
from palpate.hardening.data.lessons import TrainingImages
from palpate.hardening.data.reading import Table
from palpate.models.inputs.module import WithInputs
from palpate.storage.runs import RunFolder

ROWS = (0, 1, 2, 4, 3, 5)
"""Images in the order of the table: some that follow each other have the same age, and some do not."""

MODEL = '''
import torch
from torch import nn

class Net(nn.Module):
    """A corner that no attack may change tells the age, so the network knows if it was given that of another image."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(16, 3)

    def forward(self, images, age, sex, lateral):
        told = (images.detach()[:, :, :4, :4].mean((1, 2, 3)) - 40) / 60
        if not ((told - age).abs() < 0.45).all() or not (sex == age % 2).all():
            raise ValueError(f"ages {age.tolist()} were given for {told.tolist()}")
        if not ((lateral.mean((1, 2, 3)) - 10 * age).abs() < 2).all():
            raise ValueError("another image's lateral view")
        mixed = self.features(images / 64) * (1 + torch.sin(age + sex))[:, None] + self.features(lateral / 64)
        return 8 * self.head(mixed)

class Fixed(Net):
    def __init__(self, age, lateral):
        super().__init__()
        self.age, self.lateral = age, torch.tensor(lateral, dtype=torch.float64)

    def forward(self, images):
        ages = images.new_full((len(images),), self.age)
        return super().forward(images, ages, ages % 2, self.lateral.expand(len(images), 1, -1, -1))

def build(age=None, lateral=None):
    return (Net() if age is None else Fixed(age, lateral)).double()
'''

INPUTS = """
[model.inputs]
age = "age"
sex = {column = "sex", values = {F = 0, M = 1}}
lateral = {image = "side"}
"""
HEAD = """
seed = 3

[model]
factory = "model.py:build"
bounds = [0, 255]
"""
DATA = """
[data]
table = "labels.csv"
region = "free"

[task]
kind = "multiclass"
classes = ["a", "b", "c"]
disease = ["b", "c"]

[threat]
norm = "linf"
eps = [4]
region = ["inside column"]

[survival]
after = ["jpeg75"]

[[attacks]]
attack = "pgd"
steps = 2
restarts = 2

[[attacks]]
attack = "square"
queries = 5
"""
MORE = """
[[attacks]]
attack = "universal"
passes = 2

[[attacks]]
attack = "smia"
steps = 2

[[artefacts]]
artefact = "grid-lines"
any_modality = true
severity = 1
draws = 2
tries = 2
evolution = 2
polish = 1

[certificates]
sigma = [4]
samples = 40
select = 4
confidence = 0.99
images = 2
radii = [2]
steps = 2
draws = 2

[stability]
images = 2

[quality]
images = 0

[export]
images = "shown"

[run]
batch = 5
shard = 5
"""


def pixels(row: int) -> np.ndarray:
    return np.random.default_rng(row).integers(-24, 25, (12, 12)) + 40 + 60 * (row // 2)


def side(row: int) -> np.ndarray:
    return np.full((6, 6), 10 * (row // 2)) + np.random.default_rng(row // 2).integers(0, 2, (6, 6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("inputs")
    (place / "model.py").write_text(MODEL)
    free = np.full((12, 12), 255, np.uint8)
    free[:4, :4] = 0
    Image.fromarray(free).save(place / "free.png")
    lines = ["file,label,age,sex,side,free"]
    for row in ROWS:
        Image.fromarray(pixels(row).astype(np.uint8)).save(place / f"{row}.png")
        Image.fromarray(side(row).astype(np.uint8)).save(place / f"side{row // 2}.png")
        lines.append(f"{row}.png,{row % 3},{row // 2},{'FM'[row // 2 % 2]},side{row // 2}.png,free.png")
    (place / "labels.csv").write_text("\n".join(lines) + "\n")
    with_labels_of_the_model(place)
    return place


def with_labels_of_the_model(place: Path) -> None:
    """Every label is what the network says, so that every image can be attacked."""
    subject = load_subject(parsed(place))
    said = {}
    with subject.victim as victim:
        for row, case in enumerate(subject.table):
            said[case.name] = int(victim.judge(subject.images([row])).argmax())
    head, *lines = (place / "labels.csv").read_text().splitlines()
    parts = [line.split(",") for line in lines]
    lines = [",".join([name, str(said[name]), *rest]) for name, _, *rest in parts]
    (place / "labels.csv").write_text("\n".join([head, *lines]) + "\n")


def parsed(place: Path, text: str = HEAD + INPUTS + DATA) -> Plan:
    return parse_plan(text, place / "plan.toml")


def records(plan: Plan, rows: tuple[int, ...]) -> dict[tuple[str, str], dict[str, object]]:
    subject = load_subject(plan)
    survival = Survival.of(plan, subject, plan.root)
    found: dict[tuple[str, str], dict[str, object]] = {}
    with subject.victim:
        for item in items(plan):
            for batch in run_shard(plan, survival, Shard(item, rows, "")):
                for one in (record for outcome in batch for record in outcome.records):
                    found[one.image, one.attack] = asdict(replace(one, row=0))
    return found


def test_each_row_has_the_records_of_its_image_alone_in_a_model_that_knows_its_inputs(folder: Path) -> None:
    together = records(parsed(folder), tuple(range(len(ROWS))))
    alone: dict[tuple[str, str], dict[str, object]] = {}
    for row in (1, 4, 3):
        fixed = HEAD + f"arguments = {{age = {row // 2}, lateral = {side(row).tolist()}}}\n" + DATA
        alone |= records(parsed(folder, fixed.replace("[task]", f'where = {{file = "{row}.png"}}\n\n[task]')), (0,))
    assert len(together) == 12 and all(one["eligible"] for one in together.values())
    assert len(alone) == 6
    for key, one in alone.items():
        for name, value in one.items():
            # Batches round otherwise than single images.
            same = pytest.approx(value, abs=1e-4, nan_ok=True) if isinstance(value, (float, tuple, list)) else value
            assert together[key][name] == same, (key, name)


def test_no_part_of_an_audit_shows_an_image_with_the_inputs_of_another(folder: Path, tmp_path: Path) -> None:
    outcome = audit(parsed(folder, HEAD + INPUTS + DATA + MORE), tmp_path / "run")
    assert outcome.status == "finished" and not outcome.failed
    assert not [one.text for one in outcome.findings if "fail" in one.text]
    assert set(RunFolder(outcome.folder).frame()["attack"]) == {"pgd", "square", "universal", "smia"}


def test_workers_give_the_bytes_of_one_process(folder: Path, tmp_path: Path) -> None:
    text = HEAD + INPUTS + DATA + "\n[stability]\nimages = 0\n[quality]\nimages = 0\n[run]\nshard = 2\nbatch = 2\n"
    found = []
    for engine in ("local", "pool"):
        plan = parsed(folder, text + (f'engine = "{engine}"\nworkers = 2\n' if engine == "pool" else ""))
        outcome = audit(plan, tmp_path / engine)
        assert outcome.status == "finished" and not outcome.failed
        found.append({path.name: path.read_bytes() for path in (outcome.folder / "records").glob("*.parquet")})
    assert found[0] == found[1] and len(found[0]) > 2


def test_rows_with_other_inputs_are_never_read_together_and_a_model_loaded_again_gets_its_own(folder: Path) -> None:
    subject = load_subject(parsed(folder))
    assert list(subject.batches(range(6), 8)) == [(0, 1), (2,), (3,), (4,), (5,)]
    with pytest.raises(ValueError, match="different inputs"):
        subject.images([0, 2])
    other = with_own_model(subject, parsed(folder), allow_pickle=False)
    with other.victim as victim:
        victim.judge(other.images([5]))
        with pytest.raises(InputError, match="ages"):
            victim.judge(subject.images([0]))


def test_training_batches_hold_one_set_of_inputs(folder: Path) -> None:
    subject = load_subject(parsed(folder))
    lessons = TrainingImages(Table(subject), subject.victim, tuple(range(6)), 4, 0)
    with subject.victim as victim:
        sizes = [len(victim.judge(batch.images)) for batch in lessons.epoch(0)]
    assert sizes == [2] * 3


def test_cells_and_further_images_count_in_the_identity_of_their_own_row(folder: Path) -> None:
    table = folder / "labels.csv"
    text, seen = table.read_text(), []
    *lines, last = text.splitlines()
    for changed in (last, last.replace(",2,F", ",2.0,F"), last.replace("side2", "side1")):
        table.write_text("\n".join([*lines, changed]) + "\n")
        seen.append([load_subject(parsed(folder)).table.fingerprint([row]) for row in (0, 5)])
    table.write_text(text)
    assert len({first for first, _ in seen}) == 1 and len({own for _, own in seen}) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"age"', '"years"', "has no column 'years'"),
        ('age = "age"', 'age = ""', "has no column ''"),
        (
            '"age"', '"sex"',
            r"model.inputs.age: 0.png: the column 'sex' holds words, such as 'F', and palpate expects a number. "
            r"Give each word the number that it had in the training: \{column = \"sex\", values = \{F = 0, M = 1\}\}\.",
        ),
        ('"age"', '["sex"]', r"model.inputs.age: 0.png: the column 'sex' holds 'F', and palpate .*Correct it"),
        ("F = 0, M", "W = 0, M", r"model.inputs.sex: 0.png: the column 'sex' holds 'F', and values has W, M"),
        ("\nage =", "\nyears =", r"model.inputs.years: forward of Net does not take it. .*age"),
        ('lateral = {image = "side"}', "", r"model.inputs: Net.forward.*missing a required argument: 'lateral'"),
        ('"age"', '{box = ["age", "age", "age", "age"]}', r"inputs.age: 0.png: the box \(0, 0, 0, 0\) has no area"),
        ('"age"', "7", r"model.inputs.age: 7 is not one of the allowed forms"),
        ('{image = "side"}', '{image = "side"}\n[model.inferer]\nflips = [[0]]', r"inputs.lateral: model.inferer eval"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_refused_before_any_attack(folder: Path, old: str, new: str, said: str) -> None:
    with pytest.raises((InputError, PlanError), match=said):
        load_subject(parsed(folder, HEAD + INPUTS.replace(old, new) + DATA))


def test_texts_for_other_classes_and_tables_without_columns_are_refused_by_the_plan(folder: Path) -> None:
    named = HEAD.replace('factory = "model.py:build"', 'huggingface = "clip"\ntexts = ["a lung", "a scan"]')
    with pytest.raises(PlanError, match=r"model.texts: 2 classes have a text, and the task has 3. Write one per class"):
        parsed(folder, named + DATA)
    folders = DATA.replace('table = "labels.csv"\nregion = "free"', 'folders = "."').replace("region =", "# region =")
    with pytest.raises(PlanError, match=r"model.inputs: .* no columns for it. List the images in a CSV: data.table"):
        parsed(folder, HEAD + INPUTS + folders)


def test_an_empty_cell_is_refused_by_the_name_of_its_image(folder: Path) -> None:
    text = (folder / "labels.csv").read_text()
    (folder / "short.csv").write_text(text.replace(",2,F,", ",,F,"))
    with pytest.raises(InputError, match=r"model\.inputs\.age: 4\.png: the column 'age' is empty.*Fill it in"):
        load_subject(parsed(folder, (HEAD + INPUTS + DATA).replace("labels.csv", "short.csv")))


def test_one_word_among_numbers_is_a_mistake_in_a_cell(folder: Path) -> None:
    text = (folder / "labels.csv").read_text()
    (folder / "typed.csv").write_text(text.replace(",2,F,", ",two,F,"))
    with pytest.raises(InputError, match=r"model\.inputs\.age: 4\.png: the column 'age' holds 'two'.*Correct it"):
        load_subject(parsed(folder, (HEAD + INPUTS + DATA).replace("labels.csv", "typed.csv")))


def test_a_compiled_module_is_given_its_inputs_by_name_too() -> None:
    images, ages = torch.ones(2, 1, 4, 4), torch.tensor([2.0])
    traced = torch.jit.trace(Scaled(), (images, torch.ones(2)))
    module = WithInputs(traced, ["age"])
    with pytest.raises(InputError, match="nothing was given besides these images"):
        module(images)
    module.shown.set({"age": ages})
    assert torch.equal(copy.deepcopy(module)(images), torch.full((2, 1), 2.0))
    with pytest.raises(InputError, match=r"model.inputs.sex: forward of .* does not take it. .*age"):
        WithInputs(traced, ["sex"])


class Scaled(torch.nn.Module):
    def forward(self, images: torch.Tensor, age: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)) * age[:, None]
