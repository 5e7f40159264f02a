"""A classifier by texts (CLIP, SigLIP): each class is a text, and the image tower is what is attacked.

    logits_k = exp(s) <f(x) / |f(x)|, t_k> + b        t_k: the unit embedding of text k; b = 0 for CLIP

Radford et al., ICML 2021; Zhai et al., ICCV 2023. Several texts of a class are averaged as units, as CLIP's own
evaluation does. The embeddings are computed once and stored beside the plan, so that every machine has the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from palpate.errors import InputError, StorageError
from palpate.storage.writing import write_atomically

Texts = Sequence[str | Sequence[str]]
"""One text per class in the order of the classes, or several for a class."""
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model"),
)
"""Files that decide how texts become numbers."""


class ZeroShot(nn.Module):
    """The image tower of a CLIP or SigLIP model, with one embedding per class.

    Args:
        model: the model of transformers; its text tower is not kept.
        texts: unit embeddings (K, D) of the classes.
    """

    texts: Tensor

    def __init__(self, model: nn.Module, texts: Tensor):
        super().__init__()
        self.model = model
        self.model.text_model = nn.Identity()
        self.register_buffer("texts", texts)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W)."""
        found = _unit(_pooled(self.model.get_image_features(pixel_values=images)))  # type: ignore[operator]
        logits = found @ self.texts.to(found).t() * self.model.logit_scale.exp()  # type: ignore[operator]
        bias = getattr(self.model, "logit_bias", None)
        return logits if bias is None else logits + bias


def zero_shot(model: nn.Module, folder: Path, texts: Texts, root: Path, files: Sequence[Path]) -> ZeroShot:
    """The classifier that a model and some texts make.

    Args:
        model: CLIP or SigLIP.
        folder: its folder, with the files of its tokenizer.
        texts: of the classes.
        root: folder of the plan, in which the embeddings are stored.
        files: those of the model and its tokenizer; with other bytes, other embeddings are stored.

    Raises:
        InputError: no tokenizer is there, or a text is too long for the model.
    """
    digest = hashlib.sha256(json.dumps(texts).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    key = digest.hexdigest()
    place = root / f"text-embeddings-{key[:16]}.safetensors"
    found = stored(place, key, lambda: embedded(model, folder, texts), json.dumps(texts, ensure_ascii=False))
    return ZeroShot(model, found)


def stored(place: Path, key: str, compute: Callable[[], Tensor], words: str) -> Tensor:
    """The embeddings in a file if it is for this key, otherwise computed and, where possible, written there."""
    with suppress(SafetensorError, OSError), safe_open(place, framework="pt") as held:
        if (held.metadata() or {}).get("key") == key:
            known: Tensor = held.get_tensor("texts")
            return known
    found = compute()
    # A folder that cannot be written is no reason to stop: they are computed again.
    with suppress(StorageError):
        write_atomically(place, save({"texts": found}, {"key": key, "texts": words}))
    return found


def embedded(model: nn.Module, folder: Path, texts: Texts) -> Tensor:
    """Unit embeddings (K, D) of the texts; raises InputError as `zero_shot`."""
    tokens = _tokenizer(folder)
    with torch.no_grad():
        classes = [
            torch.cat([_one(model, tokens, text) for text in ([one] if isinstance(one, str) else one)]).mean(0)
            for one in texts
        ]
    return _unit(torch.stack(classes)).contiguous()


def _tokenizer(folder: Path) -> Any:
    import transformers

    if not any((folder / name).is_file() for name in TOKENIZER):
        raise InputError(f"model.texts: {folder} has no tokenizer, such as tokenizer.json. Download its files too.")
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a damaged file, a missing package
        what = " ".join(str(error).split())[:200]
        raise InputError(f"model.texts: the tokenizer of {folder} cannot be loaded ({what}).") from error


def _one(model: Any, tokens: Any, text: str) -> Tensor:
    """The unit embedding (1, D) of one text."""
    most = model.config.text_config.max_position_embeddings
    count = len(tokens(text)["input_ids"])
    if count > most:
        raise InputError(f"model.texts: '{text[:60]}' has {count} tokens, and the model reads {most}. Shorten it.")
    # SigLIP was trained with texts padded to its whole length; CLIP does not look behind the end of a text.
    padded = {"padding": "max_length", "max_length": most} if "siglip" in model.config.model_type else {}
    given = tokens(text, return_tensors="pt", **padded)
    return _unit(_pooled(model.get_text_features(input_ids=given["input_ids"])))


def _pooled(found: Any) -> Tensor:
    """The features, which older releases of transformers return as they are."""
    return found if isinstance(found, Tensor) else found.pooler_output


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features, dim=-1)
