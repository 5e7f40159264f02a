"""Models of Hugging Face from a local folder: no internet, no code from it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from palpate.errors import InputError
from palpate.models.detectors.huggingface import HuggingFaceDetector
from palpate.models.foundation.promptable import NO_PROMPT, Promptable
from palpate.models.foundation.zero_shot import TOKENIZER, Texts, zero_shot

_LARGEST = 10_000_000
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_AUTO = {
    "classification": "AutoModelForImageClassification",
    "segmentation": "AutoModelForSemanticSegmentation",
    "detection": "AutoModelForObjectDetection",
    "promptable": "SamModel",
    "zero-shot": "AutoModel",
}
"""The class that loads each kind of model."""
_SAM = (1024, 1024)
"""The size that the encoder of SAM takes, where its configuration leaves it out."""
_SOFTMAX = ("detr", "yolos", "table-transformer")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class Logits(nn.Module):
    """A model of transformers that returns its `logits`; those of masks are on the model's own, coarser grid."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) or (B, classes, H, W) of images (B, C, H, W) as its image processor returns them."""
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


@dataclass(frozen=True)
class HuggingFaceFacts:
    """What a folder says about its model; None or empty if it says nothing.

    Attributes:
        kind: `classification`, `segmentation`, `detection`, `promptable` (SAM) or `zero-shot` (CLIP, SigLIP).
        classes: their names, in the order of the outputs.
        size: height and width of the input.
        mean: subtracted, in the values after `rescale`.
        std: divided by.
        rescale: stored values are first multiplied by this.
        channels: channels of the input.
        softmax: a detector whose head is a softmax with "no object" last; that of others is a sigmoid.
    """

    kind: str
    classes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    rescale: float = 1 / 255
    channels: int | None = None
    softmax: bool = False

    @property
    def stored_mean(self) -> tuple[float, ...]:
        """The mean in stored values."""
        return tuple(value / self.rescale for value in self.mean)

    @property
    def stored_std(self) -> tuple[float, ...]:
        """The standard deviation in stored values."""
        return tuple(value / self.rescale for value in self.std)


def is_huggingface(folder: Path) -> bool:
    """Whether a folder looks like a model of transformers of a kind that palpate loads."""
    try:
        return _kind(_json(folder / "config.json")) is not None
    except InputError:
        return False


def huggingface_files(folder: Path, *, texts: bool = False) -> tuple[Path, ...]:
    """The files that decide what the model computes: its configuration and its safetensors; of texts, its tokenizer's.

    Raises:
        InputError: the folder is not such a model, or has no safetensors.
    """
    _require_kind(folder)
    listing = folder / _WEIGHTS[1]
    if (folder / _WEIGHTS[0]).is_file():
        weights = [folder / _WEIGHTS[0]]
    elif listing.is_file():
        shards = _json(listing).get("weight_map")
        names = sorted(set(shards.values())) if isinstance(shards, dict) else []
        if not names or any(Path(str(name)).name != name for name in names):
            raise InputError(f"model.huggingface: {listing} lists no files in its folder. Download the model again.")
        weights = [listing, *(folder / name for name in names)]
    else:
        others = [path.name for path in folder.glob("*.bin")]
        fix = (
            f"It has {others[0]}, a pickle; save it again with model.save_pretrained(folder), which writes safetensors."
            if others
            else "Download model.safetensors too."
        )
        raise InputError(f"model.huggingface: {folder} has no model.safetensors. {fix}")
    tokenizer = [folder / name for name in TOKENIZER if texts and (folder / name).is_file()]
    return (folder / "config.json", *weights, *tokenizer)


def load_huggingface(folder: Path, texts: Texts = (), root: Path = Path(), inputs: Collection[str] = ()) -> nn.Module:
    """The model of a folder, only from safetensors.

    Args:
        folder: the model's.
        texts: of the classes, for CLIP and SigLIP.
        root: folder of the plan, beside which their embeddings are stored.
        inputs: what the model is given besides the image: a prompt, for SAM.

    Raises:
        InputError: the folder is not such a model, its weights do not fit, texts or a prompt are missing, or
            transformers is.
    """
    files = huggingface_files(folder, texts=bool(texts))
    kind = _require_kind(folder)
    if kind == "promptable" and not {"box", "points"} & set(inputs):
        raise InputError(NO_PROMPT)
    if (kind == "zero-shot") != bool(texts):
        raise InputError(_TEXTS if kind == "zero-shot" else f"model.texts: {folder} takes no texts. Remove them.")
    with _offline():
        try:
            import transformers
        except ImportError as error:
            raise InputError(
                "model.huggingface: these models need a package. Install it: pip install 'palpate[huggingface]'."
            ) from error
        try:
            with torch.random.fork_rng(devices=[]), _without_bars(transformers.utils.logging):
                model, loading = getattr(transformers, _AUTO[kind]).from_pretrained(
                    folder,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        except (Exception, SystemExit) as error:  # a damaged file, an unknown architecture, a missing package
            what = " ".join(str(error).split())[:300]
            raise InputError(
                f"model.huggingface: {folder} cannot be loaded ({type(error).__name__}: {what})."
            ) from error
        _require_all(folder, loading)
        model = model.float().eval()
        if kind == "zero-shot":
            return zero_shot(model, folder, texts, root, files)
    wrap = {"promptable": Promptable, "detection": HuggingFaceDetector}.get(kind, Logits)
    return wrap(model)


_TEXTS = (
    "model.texts: this model compares images with texts, and the plan has none. Write one per class, in their order: "
    'texts = ["a chest X-ray without findings", "a chest X-ray of pneumonia"].'
)


def huggingface_facts(folder: Path) -> HuggingFaceFacts:
    """What config.json and preprocessor_config.json say.

    Raises:
        InputError: the folder is not such a model.
    """
    config = _json(folder / "config.json")
    kind = _require_kind(folder)
    prepared = _prepared(folder)
    normalised = prepared.get("do_normalize", True)
    rescale = prepared.get("rescale_factor", 1 / 255) if prepared.get("do_rescale", True) else 1.0
    return HuggingFaceFacts(
        kind=kind,
        classes=_named(config.get("id2label")),
        size=_input_size(kind, config, prepared),
        mean=_numbers(prepared.get("image_mean")) if normalised else (0.0,),
        std=_numbers(prepared.get("image_std")) if normalised else (1.0,),
        rescale=float(rescale) if isinstance(rescale, (int, float)) and rescale > 0 else 1 / 255,
        channels=_channels(config),
        softmax=kind == "detection" and config.get("model_type") in _SOFTMAX,
    )


def _prepared(folder: Path) -> dict[str, Any]:
    """What the folder says of its image processor: in a file of its own, or as a part of the processor's."""
    if (folder / "preprocessor_config.json").is_file():
        return _json(folder / "preprocessor_config.json")
    file = folder / "processor_config.json"
    held = _json(file).get("image_processor") if file.is_file() else None
    return held if isinstance(held, dict) else {}


def _named(names: Any) -> tuple[str, ...]:
    known = isinstance(names, dict) and all(map(str.isdecimal, names))
    return tuple(str(names[key]) for key in sorted(names, key=int)) if known else ()


def _parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    """A configuration and those of its image encoder."""
    inner = [config.get(name) for name in ("vision_config", "backbone_config")]
    return [config, *(one for one in inner if isinstance(one, dict))]


def _channels(config: dict[str, Any]) -> int:
    said = [one.get("num_channels") for one in _parts(config)]
    # Files leave out what is the default of transformers.
    return next((number for number in said if isinstance(number, int)), 3)


def _input_size(kind: str, config: dict[str, Any], prepared: dict[str, Any]) -> tuple[int, int] | None:
    built = next((size for one in _parts(config) if (size := _size(one.get("image_size")))), None)
    if kind == "promptable":
        return built or _SAM
    size = prepared.get("crop_size") if prepared.get("do_center_crop") else prepared.get("size")
    if kind == "detection" and isinstance(size, dict) and "shortest_edge" in size:
        size = None  # the shape of the image is kept: no one size
    return _size(size) or built


def _require_all(folder: Path, loading: dict[str, Any]) -> None:
    """Missing weights would be random, and an audit of random weights has no meaning."""
    missing = sorted(str(name) for name in loading.get("missing_keys") or ())
    mismatched = sorted(str(name) for name in loading.get("mismatched_keys") or ())
    if missing or mismatched:
        named = ", ".join((*missing, *mismatched)[:3])
        raise InputError(
            f"model.huggingface: {folder}: its weights lack parts of the network ({named}), which would stay random. "
            "Give the fine-tuned model's folder, not that of the backbone."
        )


def _require_kind(folder: Path) -> str:
    if not folder.is_dir():
        raise InputError(f"model.huggingface: {folder} is not a folder. Download the model, and give its folder.")
    config = _json(folder / "config.json")
    kind = _kind(config)
    if kind is None:
        raise InputError(
            f"model.huggingface: {folder} is not an image classifier, semantic segmenter, detector, SAM or CLIP "
            f"(config.json names {str(config.get('architectures'))[:80]}). For another model, use a factory."
        )
    if "auto_map" in config:
        raise InputError(
            f"model.huggingface: {folder} has its own code (auto_map in config.json), which is not run. Use a factory."
        )
    return kind


def _kind(config: dict[str, Any]) -> str | None:
    names = config.get("architectures")
    for name in names if isinstance(names, list) else []:
        if str(name).endswith(("ForImageClassification", "ForImageClassificationWithTeacher")):
            return "classification"
        if str(name).endswith("ForSemanticSegmentation"):
            return "segmentation"
        if str(name) == "SamModel":
            return "promptable"
        if str(name) in ("CLIPModel", "SiglipModel"):
            return "zero-shot"
        if str(name).endswith("ForObjectDetection"):
            return "detection"
    return None


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"model.huggingface: {path} is larger than {_LARGEST} bytes.")
        held = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"model.huggingface: {path} is not JSON. Download it again.") from error
    except OSError as error:
        raise InputError(
            f"model.huggingface: {path} cannot be read: {error.strerror}. Give the model's folder."
        ) from error
    if not isinstance(held, dict):
        raise InputError(f"model.huggingface: {path} contains {type(held).__name__}, and a configuration is a table.")
    return held


def _size(value: Any) -> tuple[int, int] | None:
    if isinstance(value, dict):
        sides = [value.get("height"), value.get("width")]
        if sides == [None, None]:
            sides = [value.get("shortest_edge")] * 2
    else:
        sides = list(value) if isinstance(value, (list, tuple)) and len(value) == 2 else [value, value]
    height, width = sides
    known = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    return (height, width) if known else None  # type: ignore[return-value]


def _numbers(value: Any) -> tuple[float, ...]:
    entries = value if isinstance(value, list) else [value]
    return tuple(map(float, entries)) if all(isinstance(entry, (int, float)) for entry in entries) else ()


@contextmanager
def _offline() -> Iterator[None]:
    """Never use the hub, for any setting of the environment."""
    before = {name: os.environ.get(name) for name in _OFFLINE}
    os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _without_bars(logging: Any) -> Iterator[None]:
    """No bars of transformers among palpate's lines; afterwards they are as before."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
