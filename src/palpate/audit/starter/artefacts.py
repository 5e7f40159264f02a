"""`[[artefacts]]` of a first plan: those of the images' modality that the mission of palpate names first."""

from __future__ import annotations

from collections.abc import Iterator

from palpate.artefacts import catalog
from palpate.artefacts.artefact import Scene
from palpate.artefacts.search import Ladder
from palpate.audit.plan.artefacts import modality_of
from palpate.audit.starter.values import Values
from palpate.data.inspect.annotated import FoundAnnotations
from palpate.data.inspect.folder import FoundClasses
from palpate.errors import InputError

FIRST: dict[str, tuple[str, ...]] = {
    "ct": ("metal", "respiratory-motion", "low-dose"),
    "mr": ("mr-motion", "bias-field", "ghosting"),
    "xray": ("exposure", "scatter-veil", "quantum-noise"),
    "ultrasound": ("shadow", "speckle", "gain"),
    "endoscopy": ("lens-particles", "specular-highlights", "motion-blur"),
    "dermoscopy": ("lens-particles", "hair", "defocus"),
    "fundus": ("uneven-illumination", "dust", "fundus-defocus"),
    "microscopy": ("defocus", "stain", "colour-cast"),
}
"""What a first plan tries, by modality; those that images cannot have are replaced by general ones."""
_PHOTOGRAPHS = ("endoscopy", "dermoscopy", "fundus", "microscopy")
_GREY = ("ct", "mr", "xray", "ultrasound")
GENERAL = ("position", "brightness", "resolution")
"""What any image can have: the patient lies otherwise, values are higher or lower, detail is lost."""
_MOST = 3
_DRAWS, _TRIES, _EVOLUTION = 4, 8, 32
"""Less than by default, so that the artefacts are the smaller part of a first audit."""

_HEAD = """\
# What scanners, lenses and patients do without an adversary: random artefacts at severities 1 to 5, and the worst that
# a search finds at 5. Each costs {each} passes per image. Without draws, tries and evolution it searches longer.
# `palpate preview plan.toml` shows them on your images; `palpate list artefacts{modality}` lists more.
"""
_TABLE = """\
# {summary}
[[artefacts]]
artefact = "{name}"
draws = {draws}
tries = {tries}
evolution = {evolution}
"""


def modality_in(layout: FoundClasses | FoundAnnotations, values: Values) -> str:
    """The kind of the images, as their files say it; empty if they do not."""
    code = layout.seen.header.modality if layout.seen is not None else ""
    return modality_of(None, [code], values.unit)


def modality_lines(modality: str, layout: FoundClasses | FoundAnnotations) -> list[str]:
    """The line of `data.modality`, if the user has to say it; the example is one that such images can be."""
    if modality:
        return []
    first = "ct" if len(layout.form.shape) == 4 or layout.form.shape[0] != 3 else "endoscopy"
    others = ", ".join(one for one in catalog.MODALITIES if one != first)
    return [f'# modality = "{first}"  # for its artefacts; or {others}']


def proposed(layout: FoundClasses | FoundAnnotations, values: Values, modality: str) -> tuple[str, ...]:
    """Names of artefacts that these images can have, at most three."""
    header = None if layout.seen is None else layout.seen.header
    scene = Scene(values.bounds, None if header is None else header.spacing, values.unit)
    return tuple(_fitting((*FIRST.get(modality, ()), *GENERAL), tuple(layout.form.shape), scene))[:_MOST]


def _fitting(names: tuple[str, ...], shape: tuple[int, ...], scene: Scene) -> Iterator[str]:
    for name in names:
        if name in catalog.artefacts():
            try:
                catalog.make(name).check(shape, scene)
            except InputError:
                continue
            yield name


def artefact_part(names: tuple[str, ...], modality: str, channels: int) -> str:
    """`[[artefacts]]`, one commented table each; if the modality is not known, with the names that it would allow."""
    ladder = Ladder(draws=_DRAWS, tries=_TRIES, evolution=_EVOLUTION)
    each = 1 + sum(count for _, count in ladder.drawn(1)) + ladder.evolution + ladder.polish + ladder.bisection
    head = _HEAD.format(modality=f" --modality {modality}" if modality else "", each=each)
    settings = {"draws": _DRAWS, "tries": _TRIES, "evolution": _EVOLUTION}
    tables = [_TABLE.format(name=name, summary=catalog.find(name).summary, **settings) for name in names]
    return head + "\n".join(tables) + ("" if modality else _waiting(channels))


def _waiting(channels: int) -> str:
    lines = ["# If data.modality says what kind of images these are, name its artefacts too:"]
    for modality in _PHOTOGRAPHS if channels == 3 else _GREY:
        known = [name for name in FIRST[modality] if name in catalog.artefacts()]
        lines += [f"#   {modality}: {', '.join(known)}"] if known else []
    return "\n" + "\n".join(lines) + "\n"
