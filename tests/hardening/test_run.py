import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from palpate.audit.plan.sections.harden import HardenSection
from palpate.cli import main
from palpate.errors import InputError, PlanError, StorageError
from palpate.hardening import run
from palpate.hardening.courses import optimiser_of
from palpate.hardening.run import default_folder, harden_plan
from tests.hardening import tiny


def hardened(tmp_path, harden=tiny.HARDEN, **fields):
    plan = tiny.write(tmp_path, harden, **fields)
    return plan, harden_plan(plan, default_folder(plan))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished training: its folder, its plan, and what it gave; no test may write into it."""
    path = tmp_path_factory.mktemp("done")
    return path, *hardened(path)


def test_a_training_writes_weights_record_curves_and_plan(done):
    tmp_path, _, found = done
    folder = tmp_path / "hardened" / "plan"
    assert found.folder == folder
    old, new = load_file(tmp_path / "weights.safetensors"), load_file(folder / "weights.safetensors")
    assert old.keys() == new.keys()
    assert (folder / "curves.svg").read_text().startswith("<svg")
    assert (tmp_path / "plan-hardened.toml").exists() == (found.trained.best > 0)
    record = json.loads((folder / "harden.json").read_text())
    assert record["eps"]["value"] == 8.0
    assert record["best"] == found.trained.best
    assert [row["epoch"] for row in record["epochs"]] == [0, 1, 2]
    assert record["training"]["images"] + record["validation"]["images"] == tiny.COUNT - tiny.TESTED
    assert record["training"]["patients"] + record["validation"]["patients"] == 14
    changed = any(not torch.equal(old[name], new[name]) for name in old)
    assert changed == (found.trained.best > 0)


def test_the_record_names_no_image_and_no_patient(done):
    tmp_path, *_ = done
    text = (tmp_path / "hardened" / "plan" / "harden.json").read_text()
    assert "image1" not in text
    assert "patient1" not in text
    assert str(tmp_path) not in text


def test_the_same_plan_gives_the_same_bytes(done, tmp_path):
    hardened(tmp_path)
    one, two = (path / "hardened" / "plan" / "weights.safetensors" for path in (done[0], tmp_path))
    assert one.read_bytes() == two.read_bytes()


def test_a_finished_training_is_given_back_and_another_one_is_refused(done, tmp_path):
    _, plan, first = done
    again = harden_plan(plan, first.folder)
    for name, value in first.trained.state.items():
        assert torch.equal(again.trained.state[name], value)
    changed = tiny.write(tmp_path, tiny.HARDEN.replace("epochs = 2", "epochs = 3"))
    with pytest.raises((StorageError, InputError), match="harden"):
        harden_plan(changed, first.folder)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('recipe = "tradess"', "harden.recipe: There is no recipe 'tradess'"),
        ('recipe = "segpgd"', "harden.recipe: recipe 'segpgd' trains"),
        ('recipe = "pgd"\nsettings = {stepps = 3}', "harden.recipe: .*stepps"),
        ('operating_point = "choose"', "harden.operating_point: only boxes have a confidence"),
        ('judge = "transfer"', "harden.judge: 'transfer' needs more than the model"),
        ('judge = "apgd-margn"', "harden.judge: There is no attack 'apgd-margn'"),
        ('optimiser = "model.py:build"', r"harden.optimiser: model.py:build\(\) is a factory: .* parameters and rate"),
        ('optimiser = "adam"', 'harden.optimiser: "adam" is not adamw, sgd'),
        ('loss = "model.py:loss"', "harden.loss: .*no function 'loss'"),
        ('augment = "mirror"', 'harden.augment: "mirror" is not none'),
        ('eps = "3 HU"', "harden.eps: .*no unit"),
        ("class_weights = [1.0, 2.0, 3.0]", "harden.class_weights: there are 3, and 2 are needed"),
        ('fallback = "nothing"', "harden.fallback: There is no recipe 'nothing'"),
    ],
)
def test_a_wrong_field_is_named_with_its_fix(tmp_path, line, text):
    harden = f'\n[harden]\nepochs = 1\n{line}\n\n[harden.data]\nwhere = {{split = "train"}}\n'
    with pytest.raises((PlanError, InputError), match=text):
        hardened(tmp_path, harden)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("epochs = 0", "harden.epochs: "),
        ("lose_at_most = 2", "harden.lose_at_most: "),
        ("epoch = 3", "harden.epoch: "),
        ('eps = "300/255"', "line [0-9]+: harden.eps: '300/255' is wider than the whole range 0 to 255"),
        ("class_weights = [1.0, -1.0]", "harden.class_weights"),
    ],
)
def test_a_plan_with_a_wrong_field_names_its_line(tmp_path, line, text):
    with pytest.raises(PlanError, match=text):
        tiny.write(tmp_path, f'\n[harden]\n{line}\n\n[harden.data]\nwhere = {{split = "train"}}\n')


def test_an_optimisers_factory_may_name_its_arguments_as_it_likes(tmp_path):
    given = [torch.nn.Parameter(torch.ones(1))]
    for heading in ("p, lr", "rate, parameters", "*, parameters, rate"):
        names = "p, lr" if heading == "p, lr" else "parameters, rate"
        text = f"import torch\n\ndef make({heading}):\n    return torch.optim.SGD({names})\n"
        (tmp_path / "train.py").write_text(text)
        settings = HardenSection.model_validate({"data": {"table": "t"}, "optimiser": "train.py:make", "rate": 0.25})
        made = optimiser_of(settings, tmp_path)(given)
        assert made.param_groups[0]["params"] == given and made.param_groups[0]["lr"] == 0.25


def test_a_folder_with_other_files_is_not_trained_into(tmp_path):
    plan = tiny.write(tmp_path)
    before = (tmp_path / "weights.safetensors").read_bytes()
    with pytest.raises(StorageError, match=r"holds other files \(image0.png, .*--out"):
        harden_plan(plan, tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("harden", "text"),
    [
        (tiny.HARDEN.replace("epochs = 2", "epochs = 0"), "harden.epochs: 0 must be 1 or more"),
        ("", "plan.toml: it has no [harden] table"),
    ],
)
def test_a_mistake_in_the_plan_is_shown_before_the_training_is_imported(tmp_path, monkeypatch, capsys, harden, text):
    (tmp_path / "plan.toml").write_text(tiny.PLAN + harden)
    monkeypatch.setitem(sys.modules, "palpate.hardening.run", None)
    with pytest.raises(SystemExit) as ended:
        main(["harden", str(tmp_path / "plan.toml")])
    assert ended.value.code == 2 and text in capsys.readouterr().err


def test_a_training_keeps_freed_memory_as_an_audit_does(done, monkeypatch):
    _, plan, first = done
    asked = []
    monkeypatch.setattr(run, "choose_allocation", lambda *, frugal: asked.append(frugal))
    for windowed in (False, True):
        monkeypatch.setattr(type(plan.model), "windowed", windowed)
        harden_plan(plan, first.folder)
    assert asked == [False, True]


def test_weights_that_do_not_fit_are_refused_before_training(tmp_path):
    plan = tiny.write(tmp_path)
    (tmp_path / "model.py").write_text(tiny.MODEL.replace("nn.Linear(16, 2)", "nn.Linear(16, 3)"))
    with pytest.raises(InputError, match="does not fit the network"):
        harden_plan(plan, default_folder(plan))


def test_an_interrupted_command_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    tiny.write(tmp_path)
    from palpate.hardening import run
    from palpate.hardening.contracts import Trained

    monkeypatch.setattr(run, "train", lambda *_, **__: Trained({}, 0, (), False, (), False))
    with pytest.raises(SystemExit) as ended:
        main(["harden", str(tmp_path / "plan.toml"), "--proof", "none"])
    assert ended.value.code == 130
    assert "The same command continues" in capsys.readouterr().err


def test_the_command_trains_and_says_what_was_gained(tmp_path, capsys):
    tiny.write(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["harden", str(tmp_path / "plan.toml"), "--proof", "none"])
    said = capsys.readouterr()
    assert ended.value.code == ("No epoch was more robust" in said.out)
    assert "before" in said.err
    assert "epoch 2" in said.err
    assert ("palpate audit" in said.out) == (ended.value.code == 0), "unchanged weights need no second audit"
    assert "hardened" not in said.out.replace(str(tmp_path), "").replace("hardened/plan", "").replace(
        "plan-hardened.toml", ""
    )


def test_a_model_behind_a_detector_that_rejects_is_scored_with_it(tmp_path):
    reject = '\n[[model.defences]]\ndefence = "reject"\nfilters = ["quantise"]\nthreshold = 0.5\n'
    _, found = hardened(tmp_path, tiny.HARDEN.replace("epochs = 2", "epochs = 1"), plan=tiny.PLAN + reject)
    assert [row.epoch for row in found.trained.epochs] == [0, 1]
