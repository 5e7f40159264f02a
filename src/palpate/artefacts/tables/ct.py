"""Artefacts of computed tomography."""

from palpate.artefacts.tables.entry import ArtefactEntry

_CT = "palpate.artefacts.ct"
TABLE = (
    ArtefactEntry(
        "metal", f"{_CT}.metal:Metal", "Metal in the body: streaks and dark bands through it, and noise.", ("ct",),
        "De Man, Nuyts, Dupont, Marchal, Suetens, Metal streak artifacts in X-ray computed tomography: a simulation "
        "study, IEEE Transactions on Nuclear Science 1999; parameters of Liao et al., ADN, arXiv:1908.01104.",
    ),
    ArtefactEntry(
        "respiratory-motion", f"{_CT}.motion:RespiratoryMotion", "The chest expands and falls while it is scanned.",
        ("ct",), "Crawford, King, Ritchie, Godwin, Respiratory compensation in projection imaging using a "
        "magnification and displacement model, IEEE Transactions on Medical Imaging 1996.",
    ),
    ArtefactEntry(
        "rigid-motion", f"{_CT}.motion:RigidMotion", "The patient moves and turns while being scanned.", ("ct",),
        "derived: shift and rotation theorems of the Radon transform (Kak, Slaney, Principles of Computerized "
        "Tomographic Imaging, 1988).",
    ),
)  # fmt: skip
