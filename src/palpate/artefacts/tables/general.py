"""Artefacts that any image can have."""

from palpate.artefacts.tables.entry import MODALITIES, ArtefactEntry

_G = "palpate.artefacts.general"
TABLE = (
    ArtefactEntry(
        "position", f"{_G}:Position", "The patient is turned and shifted a little; masks and boxes move along.",
        MODALITIES, "Engstrom, Tran, Tsipras, Schmidt, Madry, Exploring the Landscape of Spatial Robustness, "
        "ICML 2019.",
    ),
    ArtefactEntry(
        "brightness", f"{_G}:Brightness", "All values are higher or lower.", MODALITIES,
        "Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019.",
    ),
    ArtefactEntry(
        "noise", f"{_G}:GaussianNoise", "Independent normal noise of the detector.", MODALITIES,
        "Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019.",
    ),
)  # fmt: skip
