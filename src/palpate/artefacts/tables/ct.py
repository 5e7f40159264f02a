"""Artefacts of computed tomography."""

from palpate.artefacts.tables.entry import ArtefactEntry

_CT = "palpate.artefacts.ct"
TABLE = (
    ArtefactEntry(
        "metal", f"{_CT}.metal:Metal", "Metal in the body: streaks and dark bands through it, and noise.", ("ct",),
        "De Man, Nuyts, Dupont, Marchal, Suetens, Metal streak artifacts in X-ray computed tomography: a simulation "
        "study, IEEE Transactions on Nuclear Science 1999; parameters of Liao et al., ADN, arXiv:1908.01104.",
    ),
)  # fmt: skip
