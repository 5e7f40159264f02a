"""`[model.preprocess]` of a plan: from stored values to the network's input."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from palpate.audit.plan.problems import Problem, split
from palpate.audit.plan.sections.base import Section
from palpate.audit.plan.sections.steps import read_steps
from palpate.errors import InputError
from palpate.preprocess import Chain, MonaiChain, Preprocess

_FIELDS = ("size", "channels", "mean", "std")


class PreprocessSection(Section):
    """`[model.preprocess]`: from stored values to the network's input, by the first four fields, `steps` or `monai`."""

    size: tuple[int, ...] | None = Field(default=None, examples=["size = [224, 224]"])
    """Height and width of the network's input; without it the stored size is kept."""
    channels: int | None = Field(default=None, ge=1, examples=["channels = 3"])
    """Repeat a grey image to this many channels; 1 turns RGB into grey, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""
    mean: tuple[float, ...] = Field(default=(0.0,), examples=["mean = [127.5]"])
    """Subtracted, in stored values; one number, or one per channel."""
    std: tuple[float, ...] = Field(default=(1.0,), examples=["std = [127.5]"])
    """Divided by, in stored values; one number, or one per channel."""
    steps: tuple[dict[str, Any], ...] | None = Field(
        default=None, examples=["steps = [{window = [-160, 240]}, {resize = [224, 224]}, {rgb = 3}]"]
    )
    """Any steps in any order, one key each: `rescale`, `window`, `clip`, `invert`, `resample`, `resize`, `pad`,
    `centre_crop`, `crop_to_body`, `rgb`, `normalise`, `per_image`, `reorder`."""
    monai: str | None = Field(default=None, examples=['monai = "transforms.py:deployed"'])
    """`file.py:function`; the function returns a `monai.transforms.Compose` of the transforms of deployment. Or the
    folder of a MONAI bundle, whose transforms are made from plain values; none of its code is run."""
    straight_through: bool = False
    """With `monai`: a transform that blocks gradients passes them on unchanged. The report says so."""

    @property
    def window_values(self) -> tuple[float, float] | None:
        """Lowest and highest value of the window; None if no window is among the steps."""
        return None if self.steps is None else Chain(read_steps(self.steps)[0]).window

    def problems(self) -> Iterator[Problem]:
        """All contradictions, with keys relative to this table."""
        given = [name for name in (*_FIELDS, "steps", "monai") if name in self.model_fields_set]
        chosen = [name for name in ("steps", "monai") if name in given]
        for extra in [name for name in given if chosen and name != chosen[0]]:
            text = f"{chosen[0]} is given, which describes the whole preprocessing."
            yield (extra,), f"{text} Keep one: the four fields, steps, or monai."
        if self.straight_through and self.monai is None:
            yield ("straight_through",), "it belongs to monai, which is not given. Remove it, or give monai."
        if self.monai is not None:
            place, colon, name = self.monai.rpartition(":")
            if not (colon and name and place.endswith(".py")) and (colon or self.monai.endswith(".py")):
                yield ("monai",), f'"{self.monai}" is not of the form "file.py:function", nor the folder of a bundle.'
        elif self.steps is not None:
            yield from ((("steps", *key), text) for key, text in read_steps(self.steps)[1])
        else:
            try:
                self.build()
            except InputError as error:
                field, text = split(error, ("size", "std"))
                yield field, text

    def build(self, root: Path = Path()) -> Preprocess | Chain | MonaiChain:
        """The preprocessing that these fields describe; the path of `monai` is relative to `root`.

        Raises:
            InputError: the fields cannot be used, or the user's code fails or returns transforms that cannot be used.
        """
        if self.monai is not None:
            return _loaded(self.monai, root, self.straight_through)
        if self.steps is None:
            return Preprocess(self.size, self.channels, self.mean, self.std)
        steps, wrong = read_steps(self.steps)
        for (number, *key), text in wrong:
            raise InputError(f"preprocess.steps[{number}]{''.join(f'.{part}' for part in key)}: {text}")
        return Chain(steps)


def _loaded(reference: str, root: Path, straight_through: bool) -> MonaiChain:
    if ":" not in reference:
        return _of_bundle(reference, root, straight_through)
    from palpate.models.factory import call

    try:
        compose = call(reference, {}, root)
    except InputError as error:
        text = str(error).replace("model.factory", "preprocess.monai", 1).replace(", or model.arguments", "")
        raise InputError(text) from error
    code = (root / reference.rpartition(":")[0]).read_bytes()
    return MonaiChain(reference, hashlib.sha256(code).hexdigest(), straight_through, compose=compose)


def _of_bundle(reference: str, root: Path, straight_through: bool) -> MonaiChain:
    from palpate.models.bundle import bundle_files
    from palpate.models.bundles.transforms import deployed_transforms

    folder = root / reference
    try:
        made = deployed_transforms(folder)
    except InputError as error:
        raise InputError(str(error).replace("model.bundle", "preprocess.monai", 1)) from error
    written = hashlib.sha256(bundle_files(folder)[0].read_bytes()).hexdigest()
    return MonaiChain(reference, written, straight_through, compose=made)
