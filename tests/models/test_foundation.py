"""SAM with a fixed prompt and CLIP with fixed texts, from folders with tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model, weights_digest
from tests.models.test_huggingface_models import drawn, offline, saved

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

__all__ = ["offline"]

WORDS = ["<s>", "</s>", "<unk>", "a", "clear", "lung", "opaque", "scan", "of"]
TEXTS = ("a clear lung", ("a opaque lung", "a scan of opaque lung"))


def sam(folder: Path) -> Path:
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8, "mlp_dim": 16, "window_size": 2, "global_attn_indexes": [0],
            "num_pos_feats": 8,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 32, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    model = drawn(transformers.SamModel, config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(10 if weight.ndim > 1 else 1)  # as drawn, its maps are nearly 0
    return saved(model, folder)


def clip(folder: Path, kind: str = "CLIP") -> Path:
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = text | {"image_size": 16, "patch_size": 8}
    text |= {"vocab_size": len(WORDS), "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    config = getattr(transformers, f"{kind}Config")(text_config=text, vision_config=vision, projection_dim=12)
    saved(drawn(getattr(transformers, f"{kind}Model"), config), folder)
    with_tokenizer(folder)
    return folder


def with_tokenizer(folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    ).save_pretrained(folder)


BOX = {"box": {"box": ["x1", "y1", "x2", "y2"]}}


@pytest.mark.usefixtures("offline")
def test_sam_gives_the_map_of_its_box_at_the_size_of_the_image_with_a_gradient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sam(tmp_path / "sam")
    capsys.readouterr()
    module = load_model(ModelSource(huggingface="sam", inputs=BOX), tmp_path).eval()
    assert capsys.readouterr() == ("", ""), "bars of transformers are not among palpate's lines"
    assert transformers.utils.logging.is_progress_bar_enabled(), "and are as before afterwards"
    images, boxes = torch.rand(2, 3, 32, 32, requires_grad=True), torch.tensor([[4.0, 5, 20, 30]])
    module.shown.set({"box": boxes})  # type: ignore[union-attr]
    logits = module(images)
    plain = transformers.SamModel.from_pretrained(folder).eval()
    wanted = plain(pixel_values=images[1:], input_boxes=boxes[None], multimask_output=False).pred_masks[0]
    wanted = torch.nn.functional.interpolate(wanted, (32, 32), mode="bilinear")
    assert logits.shape == (2, 1, 32, 32)
    torch.testing.assert_close(logits[1:], wanted, atol=1e-5, rtol=1e-4)
    assert torch.autograd.grad(logits.sum(), images)[0].flatten(1).abs().amax(1).min() > 0
    with pytest.raises(InputError, match=r"model\.inputs\.labels: a label of a point is 1, on the object, or 0"):
        module.model(images, points=boxes[:, None, :2], labels=torch.tensor([[2.0]]))  # type: ignore[union-attr]
    module.shown.set({"box": boxes / 2})  # type: ignore[union-attr]
    assert (module(images) - logits).abs().max() > 1e-4


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_logits_are_those_of_transformers_for_the_texts_and_a_changed_text_is_noticed(
    kind: str, tmp_path: Path
) -> None:
    folder = clip(tmp_path / "clip", kind)
    source = ModelSource(huggingface="clip", texts=("a clear lung", "a opaque lung"))
    module, images = load_model(source, tmp_path).eval(), torch.rand(2, 3, 16, 16, requires_grad=True)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    padded = {"padding": "max_length", "max_length": 8} if kind == "Siglip" else {}
    given = tokens(list(source.texts), return_tensors="pt", **padded)["input_ids"]
    plain = getattr(transformers, f"{kind}Model").from_pretrained(folder).eval()
    torch.testing.assert_close(module(images), plain(given, images).logits_per_image, atol=1e-5, rtol=1e-4)
    assert torch.autograd.grad(module(images)[:, 0].sum(), images)[0].abs().max() > 0
    (place,) = tmp_path.glob("text-embeddings-*.safetensors")
    # The stored embeddings are those that are used, also where the tokenizer is gone or rounds otherwise.
    save_file({"texts": load_file(place)["texts"] * 2}, place, {"key": key_of(place), "texts": ""})
    again = load_model(source, tmp_path)
    torch.testing.assert_close(again.texts, module.texts * 2)
    other = ModelSource(huggingface="clip", texts=TEXTS)
    assert other.digest(tmp_path) != source.digest(tmp_path)
    assert weights_digest(load_model(other, tmp_path)) != weights_digest(module)
    assert len([*tmp_path.glob("text-embeddings-*")]) == 2


def key_of(place: Path) -> str:
    header = place.read_bytes()
    size = int.from_bytes(header[:8], "little")
    return str(json.loads(header[8 : 8 + size])["__metadata__"]["key"])


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    sam(tmp_path / "sam")
    folder = clip(tmp_path / "clip")
    for source, said in (
        (ModelSource(huggingface="sam"), r"this model segments what a prompt names"),
        (ModelSource(huggingface="sam", inputs={"age": "age"}), r"this model segments what a prompt names"),
        (ModelSource(huggingface="sam", inputs=BOX, texts=("a", "b")), r"model.texts: .*sam takes no texts"),
        (ModelSource(huggingface="clip"), r"model.texts: this model compares images with texts"),
        (ModelSource(huggingface="clip", texts=("lung " * 9, "a")), r"has 11 tokens, and the model reads 8"),
        (ModelSource(huggingface="clip", texts=("a",), inputs=BOX), r"inputs.box: forward of ZeroShot does not take"),
    ):
        with pytest.raises(InputError, match=said):
            load_model(source, tmp_path)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match=r"model.texts: .*clip has no tokenizer"):
        load_model(ModelSource(huggingface="clip", texts=("a", "of")), tmp_path)
    with pytest.raises(InputError, match=r"model.texts: they belong to a CLIP"):
        ModelSource(factory="a.py:b", texts=("a",))
