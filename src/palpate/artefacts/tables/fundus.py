"""Artefacts of fundus photographs."""

from palpate.artefacts.tables.entry import ArtefactEntry

_F = "palpate.artefacts.fundus"
_FUNDUS = ("fundus",)
_COFE = "Shen et al., Modeling and Enhancing Low-Quality Retinal Fundus Images, IEEE TMI 40 (2021)."
TABLE = (
    ArtefactEntry(
        "uneven-illumination", f"{_F}.light:UnevenIllumination", "The lamp is off the middle, and the rest is darker.",
        _FUNDUS, _COFE,
    ),
    ArtefactEntry(
        "halo", f"{_F}.light:Halo", "A bright crescent from the edge of the pupil or the lid.", _FUNDUS, _COFE,
    ),
    ArtefactEntry(
        "flare", f"{_F}.light:Flare", "The lamp is reflected in the camera: a bright, soft disc.", _FUNDUS,
        "derived: added light of a disc out of focus.",
    ),
    ArtefactEntry(
        "dust", f"{_F}.obstacles:Dust", "Dust on the lens: 5 to 10 dark, soft spots.", _FUNDUS, _COFE,
    ),
    ArtefactEntry(
        "small-pupil", f"{_F}.obstacles:SmallPupil", "The pupil is too small: only a hole in the middle is lit.",
        _FUNDUS, _COFE,
    ),
    ArtefactEntry(
        "eyelash", f"{_F}.obstacles:Eyelash", "Lashes in front of the upper part: dark, bent strokes.", _FUNDUS,
        "derived: bent strokes out of focus, which absorb light.",
    ),
    ArtefactEntry(
        "fundus-defocus", f"{_F}.camera:FundusDefocus", "The camera is out of focus; its black surround is not.",
        _FUNDUS, _COFE,
    ),
    ArtefactEntry(
        "fundus-colour", f"{_F}.camera:FundusColour", "Other settings of brightness, contrast and saturation.",
        _FUNDUS, _COFE,
    ),
)  # fmt: skip
