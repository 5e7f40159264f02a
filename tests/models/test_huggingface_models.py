"""Classifiers and segmenters of Hugging Face: local, safetensors alone, no code of the folder's, no network."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from palpate.annotations import Candidates
from palpate.errors import InputError
from palpate.models.huggingface import huggingface_facts, huggingface_files, is_huggingface
from palpate.models.loading import ModelSource, load_model
from tests.models.networks import Trap

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

PREPARED = {
    "do_normalize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.4, 0.2],
    "image_std": [0.5, 0.2, 0.1],
    "size": {"height": 16, "width": 24},
}


def vit() -> torch.nn.Module:
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
        id2label={0: "clear", 1: "opaque", 2: "unsure"},
    )
    return drawn(transformers.ViTForImageClassification, config)


def resnet() -> torch.nn.Module:
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], num_channels=1, num_labels=4
    )
    return drawn(transformers.ResNetForImageClassification, config)


def segformer() -> torch.nn.Module:
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[4, 8, 8, 8], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8
    )
    return drawn(transformers.SegformerForSemanticSegmentation, config)


def drawn(kind: type, config: object) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(config).eval()


def saved(model: torch.nn.Module, folder: Path) -> Path:
    model.save_pretrained(folder)  # type: ignore[operator]
    return folder


def load(folder: Path) -> torch.nn.Module:
    return load_model(ModelSource(huggingface=folder.name), folder.parent).eval()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("make", "shape", "outputs"),
    [(vit, (3, 16, 16), (3,)), (resnet, (1, 20, 20), (4,)), (segformer, (3, 32, 64), (2, 8, 16))],
)
def test_the_models_of_a_folder_answer_as_they_were_saved_and_let_gradients_through(
    tmp_path: Path, make, shape, outputs
) -> None:
    model = make()
    before, state = os.environ.get("HF_HUB_OFFLINE"), torch.get_rng_state()
    loaded = load(saved(model, tmp_path / "model"))
    assert os.environ.get("HF_HUB_OFFLINE") == before and torch.equal(torch.get_rng_state(), state)
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = loaded(images)
    assert found.shape == (2, *outputs)
    assert torch.equal(found, model(pixel_values=images).logits)
    (gradient,) = torch.autograd.grad(found.square().sum(), images)
    assert gradient.flatten(1).any(1).all()


def test_a_pickle_is_refused_and_never_opened(tmp_path: Path) -> None:
    folder = saved(vit(), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"trap": Trap(tmp_path / "sprung")}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"has pytorch_model\.bin, a pickle"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def changed(folder: Path, **entries: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_code_of_the_folder_is_refused_and_never_run(tmp_path: Path) -> None:
    folder = saved(vit(), tmp_path / "model")
    (folder / "code.py").write_text(f"import os; os.mkdir({str(tmp_path / 'sprung')!r})")
    changed(folder, auto_map={"AutoModelForImageClassification": "code.Net"}, model_type="mine")
    with pytest.raises(InputError, match="has its own code"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def test_a_backbone_without_its_head_is_refused(tmp_path: Path) -> None:
    folder = saved(vit(), tmp_path / "model")
    saved(vit().vit, tmp_path / "backbone")
    (folder / "model.safetensors").write_bytes((tmp_path / "backbone" / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"lack parts of the network \(classifier"):
        load(folder)


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    folder = saved(vit(), tmp_path / "model")
    changed(folder, num_hidden_layers="many")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(folder)
    changed(folder, num_hidden_layers=1)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"Download model\.safetensors"):
        load(folder)
    changed(folder, architectures=["BertForMaskedLM"])
    with pytest.raises(InputError, match=r"BertForMaskedLM.*For another model, use a factory"):
        load(folder)
    assert not is_huggingface(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        load(folder)
    with pytest.raises(InputError, match="is not a folder"):
        load(tmp_path / "nowhere")


def test_a_detector_gives_candidates_and_its_folder_says_what_its_head_is(tmp_path: Path) -> None:
    config = transformers.YolosConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=[16, 16],
        patch_size=8,
        num_detection_tokens=3,
        num_labels=2,
    )
    folder = saved(drawn(transformers.YolosForObjectDetection, config), tmp_path / "model")
    found = load(folder)(torch.zeros(2, 3, 16, 16))
    assert isinstance(found, Candidates) and found.logits.shape == (2, 3, 3) and found.boxes.shape == (2, 3, 4)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    facts = huggingface_facts(folder)
    assert (facts.kind, facts.softmax, facts.stored_mean) == ("detection", True, pytest.approx((127.5, 102.0, 51.0)))


def test_all_files_of_weights_are_in_the_digest(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    vit().save_pretrained(folder, max_shard_size=6000)  # type: ignore[operator]
    names = [path.name for path in huggingface_files(folder)]
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(shards) > 1 and names == ["config.json", "model.safetensors.index.json", *shards]
    first = ModelSource(huggingface="model").digest(tmp_path)
    (folder / shards[-1]).write_bytes(b"1")
    assert ModelSource(huggingface="model").digest(tmp_path) != first
    listing = folder / "model.safetensors.index.json"
    listing.write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    with pytest.raises(InputError, match="lists no files in its folder"):
        huggingface_files(folder)


def test_what_a_folder_says_of_its_model(tmp_path: Path) -> None:
    folder = saved(vit(), tmp_path / "model")
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    facts = huggingface_facts(folder)
    assert (facts.kind, facts.classes, facts.size) == ("classification", ("clear", "opaque", "unsure"), (16, 24))
    assert facts.stored_mean == pytest.approx((127.5, 102, 51))
    assert facts.stored_std == pytest.approx((127.5, 51, 25.5))
    assert facts.channels == 3
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPARED, "do_rescale": False}))
    assert huggingface_facts(folder).stored_mean == (0.5, 0.4, 0.2)
    (folder / "preprocessor_config.json").unlink()
    assert huggingface_facts(folder).size == (16, 16) and huggingface_facts(folder).mean == ()
    assert is_huggingface(folder)
