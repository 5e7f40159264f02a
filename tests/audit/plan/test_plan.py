"""Plans: what a good one says, and the sentence for each thing that a bad one gets wrong."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from palpate.audit.plan.changes import plan_changes
from palpate.audit.plan.items import items
from palpate.audit.plan.plan import Plan, load_plan, parse_plan
from palpate.errors import PlanError
from palpate.tasks.goals import Towards, Untargeted
from palpate.tasks.heads import OneLogit

GOOD = """\
title = "DR grading"
seed = 7
[model]
factory = "model.py:build"
weights = "weights.safetensors"
arguments = {depth = 18}
bounds = [0, 255]
[model.preprocess]
size = [112, 112]
mean = [127.5]
std = [127.5]
[data]
table = "labels.csv"
where = {split = "test"}
limit = 100
[task]
kind = "ordinal"
classes = ["no DR", "mild", "moderate"]
disease = ["moderate"]
[threat]
norm = "linf"
eps = ["0.25/255", "1%",
  4.0]
[[attacks]]
attack = "smia"
name = "smia a"
steps = 20
[[attacks]]
attack = "pgd"
goal = "hide disease"
[[attacks]]
attack = "mi"
goal = "towards: mild"
decay = 1
[[gates]]
metric = "robust_accuracy"
eps = 4
at_least = 0.3
[run]
batch = 16
"""
ORIGIN = Path("folder/plan.toml")


def refusal(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, ORIGIN)
    return str(caught.value)


def edited(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} must stand once in the good plan"
    return GOOD.replace(old, new)


def line_with(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_good_plan_is_read_as_it_is_written() -> None:
    plan = parse_plan(GOOD, ORIGIN)
    assert (plan.title, plan.seed, plan.root, plan.text) == ("DR grading", 7, Path("folder"), GOOD)
    assert plan.radii == (0.25, 2.55, 4.0)
    assert plan.model.arguments == {"depth": 18}
    assert plan.task.disease_indices == (2,)
    assert plan.data.where == {"split": "test"}
    assert plan.run.batch == 16


def test_attacks_carry_goal_parameters_and_budgets() -> None:
    smia, pgd, mi = items(parse_plan(GOOD, ORIGIN))
    assert (smia.name, smia.goal, smia.task.goal) == ("smia a", "untargeted", Untargeted())
    assert smia.parameters["steps"] == 20 and smia.parameters["weight"] == 0.5
    assert pgd.task.goal == Towards((0, 1), "hide disease")
    assert (mi.goal, mi.task.goal) == ("towards mild", Towards((1,), "towards mild"))
    assert smia.eps == (0.25, 2.55, 4.0) and smia.attack.threat.eps == 0.25


def test_whole_and_fractional_numbers_have_one_identity() -> None:
    whole, fractional = parse_plan(GOOD, ORIGIN), parse_plan(edited("decay = 1", "decay = 1.0"), ORIGIN)
    assert items(whole)[2].identity == items(fractional)[2].identity


def test_the_main_budget_changes_no_identity_and_no_record() -> None:
    named = parse_plan(edited('norm = "linf"', 'norm = "linf"\nmain = "1%"'), ORIGIN)
    assert [one.identity for one in items(named)] == [one.identity for one in items(parse_plan(GOOD, ORIGIN))]
    assert plan_changes(GOOD, named) == []


def test_the_operating_point_reaches_the_head() -> None:
    text = edited('kind = "ordinal"', 'kind = "binary"\nhead = "one-logit"\nthreshold = 0.3')
    text = text.replace('"no DR", "mild", "moderate"', '"mild", "moderate"')
    assert items(parse_plan(text, ORIGIN))[0].task.head == OneLogit(0.3)


def test_a_plan_is_a_value() -> None:
    plan = parse_plan(GOOD, ORIGIN)
    assert plan == parse_plan(GOOD, ORIGIN)
    assert plan != parse_plan(edited("seed = 7", "seed = 8"), ORIGIN)
    with pytest.raises(ValidationError):
        plan.seed = 8  # type: ignore[misc]


def test_a_plan_made_in_code_is_checked_too() -> None:
    document = tomllib.loads(edited('attack = "pgd"', 'attack = "pdg"'))
    with pytest.raises(ValidationError):
        Plan.model_validate(document)


def test_a_section_that_is_written_twice_is_named() -> None:
    with pytest.raises(PlanError, match=r"section \[model\] is declared here and before.* without 'model.'"):
        parse_plan(edited("seed = 7", 'model.outputs = "logits"'), ORIGIN)


# What is edited, and what the refusal says: the field, then the fix. The line is that of the marker `new`.
BAD = [
    ("seed = 7", "seed = true", "seed: true must be a whole number"),
    ("seed = 7", "sead = 7", "sead: there is no such field. Did you mean 'seed'?"),
    ("[data]", "[daat]", "daat: there is no such field. Did you mean 'data'?"),
    (
        "seed = 7",
        "preprocess.channels = 3",
        "preprocess: there is no such field here. It is a separate section: write its ",
    ),
    (
        "std = [127.5]",
        'outputs = "logits"',
        "model.preprocess.outputs: there is no such field here. It belongs to [model]",
    ),
    (
        "[data]",
        'run.at_chance = "allow"\n[data]',
        "model.preprocess.run: there is no such field here. [run] is a separate section: ",
    ),
    ("bounds = [0, 255]", "bounds = [255, 0]", "model.bounds: (255, 0) must be two finite numbers"),
    ("bounds = [0, 255]", "bounds = [0]", "model.bounds"),
    ("bounds = [0, 255]", 'bounds = [0, "255"]', 'model.bounds[1]: "255" must be a number. For example: bounds ='),
    ("bounds = [0, 255]", "bounds = [0, inf]", "model.bounds[1]: inf must be a finite number. For"),
    ("arguments = {depth = 18}", 'torchscript = "m.ts"', "model.torchscript: factory is given already"),
    ('factory = "model.py:build"', 'torchscript = "m.ts"', "model.weights: torchscript brings its own weights"),
    ("size = [112, 112]", "size = [112, 0]", "model.preprocess.size: [112, 0] must be positive"),
    ("std = [127.5]", "std = [0.0]", "model.preprocess.std: [0.0] must be above zero"),
    ("std = [127.5]", "sdt = [127.5]", "model.preprocess.sdt: there is no such field. Did you mean 'std'?"),
    ("limit = 100", "limit = 0", "data.limit: 0 must be 1 or more"),
    (
        "limit = 100",
        'split = "test"',
        "data.split: it belongs to a MedMNIST archive, an nnU-Net folder, a datalist, a VOC",
    ),
    ("limit = 100", 'folders = "f"', "data.folders: table is given already. Keep one of them"),
    ('table = "labels.csv"', 'folders = "f"', "data.where: it belongs to a CSV"),
    ('kind = "ordinal"', 'kind = "ordnal"', "task.kind: \"ordnal\" is not one of its values. Did you mean 'ordinal'?"),
    ('kind = "ordinal"', 'kind = "binary"', "task.classes: a binary task has 2 classes, and there are 3"),
    ('kind = "ordinal"', 'kind = "multiclass"\nhead = "cumulative"', "task.head: a cumulative head decides grades"),
    ('kind = "ordinal"', 'kind = "ordinal"\nhead = "one-logit"', "task.head: one logit decides between 2 classes"),
    ('kind = "ordinal"', 'kind = "ordinal"\nthreshold = 0.5', "task.threshold: a softmax head has no threshold"),
    ('"no DR", "mild", "moderate"', '"no DR", "no DR", "moderate"', "task.classes: 'no DR' is listed 2 times"),
    ('"no DR", "mild", "moderate"', '"moderate"', "task.classes: it has too few values; it needs 2 or more"),
    (
        'disease = ["moderate"]',
        'disease = ["modrate"]',
        "task.disease: 'modrate' is not one of the classes. Did",
    ),
    ('disease = ["moderate"]', 'disease = ["no DR", "mild", "moderate"]', "task.disease: it names every class"),
    ('norm = "linf"', 'norm = "l3"', 'threat.norm: "l3" is not one of its values'),
    ('"0.25/255"', "-1", "threat.eps[0]: -1 must be above zero"),
    ('"0.25/255"', "0", "threat.eps[0]: 0 must be above zero"),
    ('"0.25/255"', "256", "threat.eps[0]: 256 is wider than the whole range 0 to 255 of stored values"),
    ('"0.25/255"', '"256/255"', "threat.eps[0]: '256/255' is wider than the whole range"),
    ('"0.25/255"', "nan", "threat.eps[0]: nan must be a finite number"),
    ('"0.25/255"', '"1/0"', "threat.eps[0]: '1/0' divides by zero"),
    ('"0.25/255"', '"a bit"', "threat.eps[0]: 'a bit' is not a budget; write a number of values"),
    ('"0.25/255"', "true", "threat.eps[0]"),
    ('attack = "pgd"', 'attack = "pdg"', "attacks[1].attack: There is no attack 'pdg'. Did you mean 'pgd'?"),
    ("steps = 20", "stps = 20", "attacks[0].stps: attack 'smia' has no parameter 'stps'. Did you mean 'steps'?"),
    (
        'attack = "pgd"',
        'attack = "strongest"\nsteps = 10',
        "attacks[1].steps: attack 'strongest' has no parameter 'steps'. It has run_to_end.",
    ),
    ("steps = 20", "steps = 0", "attacks[0].steps: 0 must be at least 1"),
    ("steps = 20", "steps = 2.5", "attacks[0].steps: attack 'smia': steps = 2.5 must be int"),
    ("steps = 20", 'weight = 1.5\nagreement = "label"', "attacks[0].weight: 1.5 with agreement 'label'"),
    (
        'goal = "hide disease"',
        'goal = "hide desease"',
        "attacks[1].goal: there is no goal 'hide desease'. Did you mean",
    ),
    ("towards: mild", "towards: mld", "attacks[2].goal: there is no class 'mld'. Did you mean 'mild'?"),
    ('name = "smia a"', 'name = "pgd"', "attacks[1].name: two attacks are called 'pgd'"),
    ('name = "smia a"', 'name = "any"', "attacks[0].name: 'any' has a special meaning"),
    ('metric = "robust_accuracy"', 'metric = "robustness"', 'gates[0].metric: "robustness" is not one of its values'),
    (
        "eps = 4\n",
        'eps = "3/255"\n',
        "gates[0].eps: 3/255 is not one of the budgets of threat.eps. Known are: 0.25/255, 1%, 4.0",
    ),
    (
        'norm = "linf"',
        'norm = "linf"\nmain = "3/255"',
        "threat.main: 3/255 is not one of the budgets of threat.eps. Known are: 0.25/255, 1%, 4.0",
    ),
    ("at_least = 0.3", "at_least = 0.3\nat_most = 0.4", "gates[0].at_most: a gate needs either at_least or at_most"),
    ("at_least = 0.3", "at_least = 30", "gates[0].at_least: robust_accuracy is a share from 0 to 1, and 30 is not"),
    ("at_least = 0.3", 'at_least = 0.3\nattack = "pgdd"', "gates[0].attack: there is no attack 'pgdd'. Did you mean"),
    ("at_least = 0.3", 'at_least = 0.3\nattack = "pgd"', "gates[0].attack: robust accuracy is defined for untargeted"),
    ('metric = "robust_accuracy"', 'metric = "success_rate"', "gates[0].attack: the attacks have several goals"),
    ('metric = "robust_accuracy"', 'metric = "clean_accuracy"', "gates[0].eps: a clean figure has no budget"),
    ("batch = 16", "batch = 64", "run.batch: 64 images cannot be attacked at once when 32 are stored together"),
    ("batch = 16", 'batch = "16"', 'run.batch: "16" must be a whole number'),
]


def test_small_shards_alone_make_the_batch_small() -> None:
    assert parse_plan(edited("batch = 16", "shard = 8"), ORIGIN).run.batch == 8
    assert parse_plan(edited("batch = 16", "shard = 64"), ORIGIN).run.batch == 32


@pytest.mark.parametrize(("old", "new", "said"), BAD, ids=[f"{old} -> {new}" for old, new, _ in BAD])
def test_each_mistake_gets_its_sentence(old: str, new: str, said: str) -> None:
    text = edited(old, new)
    message = refusal(text)
    assert said in message
    assert message.startswith("folder/plan.toml")
    assert message.endswith((".", "?"))
    assert "pydantic" not in message and "\n\n" not in message


@pytest.mark.parametrize(("old", "new", "said"), BAD, ids=[f"{old} -> {new}" for old, new, _ in BAD])
def test_each_mistake_is_found_on_its_line(old: str, new: str, said: str) -> None:
    text = edited(old, new)
    field = re.split(r"[.\[:]", said.partition(": ")[0].removesuffix("]").rstrip("0123456789["))[-1]
    found = re.search(r"line (\d+), |, line (\d+): ", refusal(text))
    assert found is not None
    line = text.splitlines()[int(found[1] or found[2]) - 1]
    # A key that is missing is placed at its table, every other one at itself.
    assert field in line or line.startswith("[")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('factory = "model.py:build"\n', "model.weights"),
        (
            "bounds = [0, 255]\n",
            "model.bounds: it is missing: lowest and highest stored value of an image. For example",
        ),
        ('kind = "ordinal"\n', "task.kind: it is missing"),
        ('table = "labels.csv"\n', "data: it names none of table, folders, medmnist"),
        ('attack = "pgd"\n', "attacks[1].attack: it is missing"),
        ('disease = ["moderate"]\n', "attacks[1].goal: 'hide disease' needs the classes that count as disease"),
        ("eps = 4\n", "gates[0].metric: the budget is missing"),
        ("at_least = 0.3\n", "gates[0].metric: a gate needs either at_least or at_most"),
    ],
)
def test_a_missing_line_is_asked_for(line: str, said: str) -> None:
    if said == "model.weights":
        # Weights alone are a pickled module, which is the loader's to refuse.
        assert parse_plan(edited(line, "").replace("arguments = {depth = 18}\n", ""), ORIGIN).model.factory is None
        return
    assert said in refusal(edited(line, ""))


def test_every_problem_is_listed_in_the_order_of_the_file() -> None:
    text = GOOD.replace("seed = 7", "seed = -1").replace("limit = 100", "limt = 100").replace("batch = 16", "batch = 0")
    message = refusal(text)
    assert "has 3 problems" in message
    assert [f"line {line_with(text, part)}," in message for part in ("seed", "limt", "batch")] == [True] * 3
    assert message.index("seed") < message.index("data.limt") < message.index("run.batch")


def test_the_same_attack_twice_is_refused() -> None:
    twice = edited("[run]", '[[attacks]]\nattack = "smia"\nname = "again"\nsteps = 20\n[run]')
    assert "'again' is the same attack as 'smia a'" in refusal(twice)


def test_an_attack_that_cannot_search_the_ball_is_refused() -> None:
    text = edited('norm = "linf"', 'norm = "l2"').replace('attack = "mi"', 'attack = "smia-reference"')
    text = text.replace("decay = 1\n", "")
    message = refusal(text)
    assert f"line {line_with(text, 'smia-reference')}" in message
    assert "searches linf balls, not l2" in message


def test_an_l2_budget_may_exceed_the_range() -> None:
    text = edited('norm = "linf"', 'norm = "l2"').replace("4.0]", "400.0]").replace("eps = 4\n", "eps = 400\n")
    assert parse_plan(text, ORIGIN).radii[-1] == 400


@pytest.mark.parametrize("head", [6, 10])
def test_text_that_is_no_toml_is_refused_with_its_line(head: int) -> None:
    text = "\n".join([*GOOD.splitlines()[:head], "bounds = [0, 255"])
    message = refusal(text)
    assert message.startswith(f"folder/plan.toml, line {head + 1}: this is not TOML")


def test_a_key_that_is_given_twice_is_refused_with_its_line() -> None:
    assert "line 3: this is not TOML" in refusal(edited("seed = 7", "seed = 7\nseed = 8"))


def test_a_file_is_read_and_its_absence_said(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    with pytest.raises(PlanError, match=r"plan\.toml does not exist\. `palpate init`"):
        load_plan(path)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    plan = load_plan(path)
    assert plan.root == tmp_path and plan.radii == (0.25, 2.55, 4.0)
    path.write_bytes(b"title = '\xff'")
    with pytest.raises(PlanError, match="is not UTF-8 text"):
        load_plan(path)
    with pytest.raises(PlanError, match="is not a file"):
        load_plan(tmp_path)


def test_a_file_of_thousands_of_problems_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("".join(f"key{number} = 1\n" for number in range(3_000)))
    with pytest.raises(PlanError, match=r"plan\.toml has many problems; the first 30 are:") as said:
        load_plan(tmp_path / "plan.toml")
    assert len(str(said.value).splitlines()) == 31
