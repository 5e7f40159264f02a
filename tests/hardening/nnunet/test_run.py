"""`palpate harden` on a trained folder of nnU-Net: what comes out, how it goes on, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from palpate.audit.plan.plan import load_plan
from palpate.audit.subject.subject import load_subject
from palpate.errors import InputError, PlanError
from palpate.hardening.loop.progress import News, Silence
from palpate.hardening.proof.plans import proof_plan
from palpate.hardening.run import Hardened, default_folder, harden_plan
from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import load_folds
from tests.hardening.nnunet import folders

FOLD = Path("results") / "fold_0" / "checkpoint_final.pth"


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    folders.stand_in(monkeypatch)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Hardened]]:
    """A finished training; no test may write into it."""
    with pytest.MonkeyPatch.context() as patch:
        folders.stand_in(patch)
        root = tmp_path_factory.mktemp("done")
        plan = folders.write(root)
        yield root, harden_plan(plan, default_folder(plan))


def test_a_trained_folder_with_the_same_keys_comes_out(done: tuple[Path, Hardened]) -> None:
    root, found = done
    assert found.trained.best and found.saved is not None and found.saved.field == "nnunet"
    assert found.saved.path == root / "hardened" / "plan" / "results"
    files = sorted(str(path.relative_to(found.saved.path)) for path in found.saved.path.rglob("*") if path.is_file())
    assert files == ["dataset.json", "fold_0/checkpoint_final.pth", "plans.json"]
    for name in ("dataset.json", "plans.json"):
        assert (found.saved.path / name).read_bytes() == (root / "results" / name).read_bytes()
    old = torch.load(root / FOLD, weights_only=False)
    new = torch.load(root / "hardened" / "plan" / FOLD, weights_only=True)
    assert list(new) == list(old)
    assert list(new["network_weights"]) == list(old["network_weights"])
    assert any(
        not torch.equal(new["network_weights"][name], old["network_weights"][name]) for name in ("plain", "beside")
    )
    assert new["optimizer_state"]["param_groups"] == [{"lr": 0.01}] and new["logging"] == {"ema_fg_dice": [0.5]}
    assert new["init_args"] == old["init_args"]
    assert new["inference_allowed_mirroring_axes"] == (0, 2)


def test_the_new_plan_and_the_proof_audit_the_new_weights(done: tuple[Path, Hardened]) -> None:
    root, found = done
    assert found.plan == root / "plan-hardened.toml" and found.saved is not None
    before, proof = (
        proof_plan(found.material.plan, found.material.eps, "short", saved) for saved in (None, found.saved)
    )
    loaded = [load_subject(plan) for plan in (before, proof, load_plan(found.plan))]
    weights = [dict(one.victim.module.state_dict()) for one in loaded]
    for name, value in found.trained.state.items():
        assert torch.equal(weights[1][name], value) and torch.equal(weights[2][name], value)
    assert loaded[0].weights != loaded[1].weights == loaded[2].weights
    assert loaded[0].model_identity["inferer"] == loaded[2].model_identity["inferer"]


def test_a_full_proof_attacks_volumes_beside_voxels(tmp_path: Path) -> None:
    made = proof_plan(folders.write(tmp_path), 60.0, "full")
    assert "vafa" in [one.attack for one in made.attacks]


def test_the_record_says_what_is_approximated(done: tuple[Path, Hardened]) -> None:
    root, found = done
    record = json.loads((root / "hardened" / "plan" / "harden.json").read_text())
    assert record["model"]["field"] == "nnunet" and record["model"]["file"] == "results"
    assert any("those of the unattacked volume" in note for note in record["notes"])
    assert record["training"]["images"] + record["validation"]["images"] == folders.TRAINED
    assert found.material.rows.validation


class _KilledError(Exception):
    pass


class _Killing(Silence):
    """Ends the process's work in the second epoch."""

    def step(self, news: News) -> None:
        if news.epoch == 2:
            raise _KilledError


def test_after_a_kill_the_same_bytes_come_out(done: tuple[Path, Hardened], tmp_path: Path) -> None:
    plan = folders.write(tmp_path)
    with pytest.raises(_KilledError):
        harden_plan(plan, default_folder(plan), progress=_Killing())
    assert not (tmp_path / "hardened" / "plan" / FOLD).exists()
    harden_plan(plan, default_folder(plan))
    one, two = (root / "hardened" / "plan" / FOLD for root in (done[0], tmp_path))
    assert one.read_bytes() == two.read_bytes()


def test_weights_of_several_names_are_stored_once(tmp_path: Path) -> None:
    from palpate.models.nnunet.saving import write_trained

    plan = folders.write(tmp_path)
    trained = read_trained(plan.root / "results")
    network = load_folds(trained)[0].folds[0]
    again = torch.nn.ParameterDict({"a": torch.nn.Parameter(torch.zeros(1000)), "b": torch.nn.Parameter(torch.ones(2))})
    again["c"] = again["a"]
    held = torch.load(tmp_path / FOLD, weights_only=False)
    torch.save(
        {**held, "network_weights": {f"module.{n}": t.clone() for n, t in again.state_dict().items()}}, tmp_path / FOLD
    )
    write_trained(trained, again, tmp_path / "new")
    new = torch.load(tmp_path / "new" / "fold_0" / "checkpoint_final.pth", weights_only=True)["network_weights"]
    assert list(new) == ["module.a", "module.b", "module.c"] and network is not again
    assert new["module.a"].data_ptr() == new["module.c"].data_ptr()


def raw(change: Callable[[Path], Any]) -> Callable[[Path], None]:
    return lambda root: change(root / "raw") and None


def patients(root: Path) -> None:
    """A table in which a patient is in both halves."""
    lines = ["image,mask,patient,split"]
    for index in range(folders.TRAINED + folders.TESTED):
        split, end = ("train", "Tr") if index < folders.TRAINED else ("test", "Ts")
        files = f"raw/images{end}/{index}_0000.nii.gz,raw/labels{end}/{index}.nii.gz"
        lines.append(f"{files},{'p' if index > 4 else index},{split}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    text = folders.PLAN.replace(
        'nnunet = "raw"\nsplit = "test"',
        'table = "labels.csv"\nfile = "image"\nmask = "mask"\ngroup = "patient"\nvalues = [1, 2]\n'
        'where = {split = "test"}',
    )
    (root / "plan.toml").write_text(text.replace('split = "train"\n', 'where = {split = "train"}\n'))


def constant(root: Path) -> None:
    path = root / "raw" / "imagesTr" / "3_0000.nii.gz"
    old = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.full(old.shape, 7, np.float32), old.affine, old.header), path)


def written(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: (root / "plan.toml").write_text(folders.PLAN.replace(old, new)) and None


def cascade(root: Path) -> None:
    path = root / "results" / "plans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["test"]["previous_stage"] = "3d_lowres"
    path.write_text(json.dumps(plans))


def copied(root: Path) -> None:
    shutil.copytree(root / "results" / "fold_0", root / "results" / "fold_1")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (copied, "model.folds: each fold is a network of its own.*averages fold_0, fold_1. Name one: folds = .0.."),
        (written('"results"', '"results"\nfolds = [3]'), "lacks fold_3 with checkpoint_final.pth"),
        (cascade, "second stage of a cascade"),
        (raw(lambda place: shutil.rmtree(place / "imagesTr")), "harden.data: .*imagesTr holds no file like case_0000"),
        (
            written('split = "train"', 'split = "test"'),
            "harden.data: 2 images of the audit are also among the training images",
        ),
        (patients, "harden.data: 2 images of the audit are of patients who have training images too"),
        (constant, "harden.data: imagesTr/3_0000.nii.gz: a channel has one value only"),
        (written('recipe = "fast"', 'recipe = "artefacts"'), "harden.recipe: artefacts are made on whole images"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_sentence(tmp_path: Path, harm: Callable[[Path], None], says: str) -> None:
    folders.write(tmp_path)
    harm(tmp_path)
    plan = load_plan(tmp_path / "plan.toml")
    with pytest.raises((InputError, PlanError), match=says) as error:
        harden_plan(plan, default_folder(plan))
    assert "\n" not in str(error.value)


def test_one_fold_of_several_is_trained_and_keeps_its_number(tmp_path: Path) -> None:
    text = folders.PLAN.replace('"results"', '"results"\nfolds = [1]').replace("epochs = 2", "epochs = 1")
    plan = folders.write(tmp_path, replace(folders.CASE, folds=2), text)
    found = harden_plan(plan, default_folder(plan))
    assert found.saved is not None
    assert [path.name for path in found.saved.path.glob("fold_*")] == ["fold_1"]
