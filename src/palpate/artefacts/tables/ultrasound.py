"""Artefacts of ultrasound."""

from palpate.artefacts.tables.entry import ArtefactEntry

_U = "palpate.artefacts.ultrasound"
_ULTRASOUND = ("ultrasound",)
TABLE = (
    ArtefactEntry(
        "speckle", f"{_U}.receiver:Speckle", "Echoes of small scatterers interfere: grains.", _ULTRASOUND,
        "Wagner, Smith, Sandrik, Lopez, Statistics of speckle in ultrasound B-scans, IEEE Transactions on Sonics and "
        "Ultrasonics 30 (1983) 156.",
    ),
    ArtefactEntry(
        "attenuation", f"{_U}.tissue:Attenuation", "Deep tissue is darker, as sound is absorbed.", _ULTRASOUND,
        "Beer-Lambert law along beams; usaugment (MIT).",
    ),
    ArtefactEntry(
        "shadow", f"{_U}.tissue:Shadow", "Bone, stone or gas casts a shadow along the beams.", _ULTRASOUND,
        "usaugment (MIT); beams: derived from the geometry of linear and curved probes.",
    ),
    ArtefactEntry(
        "haze", f"{_U}.tissue:Haze", "Echoes by detours: a bright cloud around one depth.", _ULTRASOUND,
        "Ostvik et al., Myocardial function imaging in echocardiography using deep learning, IEEE TMI 40 (2021); "
        "usaugment (MIT).",
    ),
    ArtefactEntry(
        "gain", f"{_U}.receiver:Gain", "The amplifier is set too high or too low.", _ULTRASOUND,
        "Szabo, Diagnostic Ultrasound Imaging, 2014 (logarithmic compression).",
    ),
)  # fmt: skip
