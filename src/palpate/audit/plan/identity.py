"""Identities: values as plain JSON, and their hash. Everything that changes a result changes the hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from palpate.artefacts.parameter import Parameter
from palpate.artefacts.search import Ladder
from palpate.attacks.ascent import Ascent
from palpate.attacks.black_box.hopskipjump import HopSkipJump
from palpate.attacks.black_box.transfer import Transfer
from palpate.attacks.cascade.stages import Cascade, Stage
from palpate.attacks.directions import Diversity, Momentum, Nesterov, Translation
from palpate.attacks.minimum.alma import AlmaProx
from palpate.attacks.minimum.norm import DDN, FMN
from palpate.attacks.noise import RandomNoise
from palpate.attacks.objectives import Deviation, Margin, Own, SoftScore, SparselyStabilised, Stabilised, TowardsRank
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin, SegPGD
from palpate.attacks.sparse.steps import Sparse
from palpate.attacks.square import Square
from palpate.attacks.steps import Cosine, Fixed, Halving, Proportional
from palpate.attacks.transforms import Weighted
from palpate.attacks.universal.attack import Universal
from palpate.defences.drawn import Noise, ResizePad
from palpate.defences.filters import Filter, Median, Quantised
from palpate.defences.networks import Denoise, Ensemble
from palpate.defences.reading import Reading
from palpate.defences.reject import Reject
from palpate.defences.smoothing import Smoothing
from palpate.errors import InputError
from palpate.models.nnunet.normalising import Normalisation
from palpate.models.nnunet.pipeline import NnUNet
from palpate.models.nnunet.resampling import Resampling
from palpate.models.nnunet.windows import SteppedWindows, Windows
from palpate.postprocessing.codecs import Jpeg, Jpeg2000
from palpate.postprocessing.export import EightBit, Rewindowed, Rounded
from palpate.postprocessing.grids import Blurred, Resampled
from palpate.preprocess import Chain, MonaiChain, Preprocess, body, geometry, statistics, values
from palpate.tasks import detection_goals, multilabel_goals
from palpate.tasks.classification import Classification
from palpate.tasks.criteria import Bipartite
from palpate.tasks.detection import Detection
from palpate.tasks.goals import Towards, Untargeted
from palpate.tasks.heads import Cumulative, OneLogit, Softmax
from palpate.tasks.masks import goals as mask_goals
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.screening import ScreenedClassification, ScreenedMultiLabel, ScreenedSegmentation
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import L1, L2, Linf, LinfSteps
from palpate.threats.confined import Confined
from palpate.threats.frequency import Frequency
from palpate.units import Scale
from palpate.victim.inference import Flips, SlidingWindow

_TYPES: tuple[type, ...] = (
    *(Cascade, Stage, TowardsRank, SparselyStabilised),
    *(Ascent, RandomNoise, Square, Deviation, Margin, SoftScore, Own, Stabilised, SegPGD, CosPGD, PieceMargin),
    *(FMN, DDN, AlmaProx, HopSkipJump, Transfer, Universal),
    *(Fixed, Cosine, Proportional, Halving, Sparse),
    *(Momentum, Nesterov, Translation, Diversity),
    *(Linf, L2, L1, LinfSteps, Frequency, Confined),
    *(Classification, Untargeted, Towards, Softmax, OneLogit, Cumulative, Preprocess),
    *(Chain, MonaiChain, values.Rescale, values.Window, values.Clip, values.Invert, values.ToRGB, values.Normalise),
    *(geometry.Resample, geometry.Resize, geometry.Pad, geometry.CentreCrop, geometry.Reorder),
    *(body.CropToBody, statistics.PerImage),
    *(Segmentation, mask_goals.Degrade, mask_goals.Erase, mask_goals.Insert, mask_goals.Shift),
    *(mask_goals.Toward, mask_goals.Swap, mask_goals.Wanted),
    *(MultiLabel, multilabel_goals.AnyFinding, multilabel_goals.AllFindings),
    *(multilabel_goals.Miss, multilabel_goals.Invent, SlidingWindow, Flips),
    *(Detection, detection_goals.Degrade, detection_goals.Vanish, detection_goals.Fabricate, detection_goals.Mislabel),
    Bipartite,
    *(Parameter, Ladder),
    *(Reading, Smoothing, Noise, ResizePad, Filter, Quantised, Median, Denoise, Ensemble, Reject),
    *(ScreenedClassification, ScreenedMultiLabel, ScreenedSegmentation),
    *(NnUNet, Windows, SteppedWindows, Normalisation, Resampling),
    *(Scale, EightBit, Rounded, Rewindowed, Jpeg, Jpeg2000, Resampled, Blurred, Weighted),
)


_STORED_AS: Mapping[type, str] = {
    mask_goals.Degrade: "mask_goals.Degrade",
    detection_goals.Degrade: "detection_goals.Degrade",
}
"""Stored names that are not the name of the class. A class that is renamed keeps its stored name here."""

NAMES: Mapping[str, type] = {_STORED_AS.get(kind, kind.__name__): kind for kind in _TYPES}
"""The types of palpate that have an identity, by their stored names. Stored names never change."""
_STORED = {kind: name for name, kind in NAMES.items()}


def encode(value: Any) -> Any:
    """A value as JSON: frozen dataclasses, tuples, mappings with text keys, numbers, text, None. Floats stay exact.

    Types outside palpate (attacks of other packages) are named by module and have a hash too.

    Raises:
        InputError: it holds a value of another kind, so it has no identity.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (tuple, list)):
        return [encode(entry) for entry in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"map": {key: encode(entry) for key, entry in sorted(value.items())}}
    if is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        # Fields that do not count in comparisons (such as loaded transforms) are not part of the identity.
        entries = {field.name: encode(getattr(value, field.name)) for field in fields(value) if field.compare}
        return {"type": _name(type(value)), "fields": entries}
    raise InputError(
        f"identity: {type(value).__name__} is not a frozen dataclass, a number or a text, so palpate cannot find "
        "again what was computed with it. Describe attacks by frozen dataclasses."
    )


def digest(value: Any) -> str:
    """SHA-256 of the encoded value, hexadecimal; equal values have equal hashes, in any order of their keys."""
    text = json.dumps(encode(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _name(kind: type) -> str:
    return _STORED.get(kind, f"{kind.__module__}:{kind.__qualname__}")
