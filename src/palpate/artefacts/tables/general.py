"""Artefacts that any image can have."""

from palpate.artefacts.tables.entry import MODALITIES, ArtefactEntry

_G, _S = "palpate.artefacts.general", "palpate.artefacts.storage"
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
    ArtefactEntry(
        "contrast", f"{_G}:Contrast", "Contrast is higher or lower.", MODALITIES,
        "Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019.",
    ),
    ArtefactEntry(
        "jpeg", f"{_S}:Jpeg", "Saved as JPEG with loss.", MODALITIES,
        "ITU-T T.81 (JPEG), as libjpeg writes it.",
    ),
    ArtefactEntry(
        "resolution", f"{_S}:Resolution", "Fewer pixels, scaled up again.", MODALITIES,
        "Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019 (pixelate), linear instead of boxes.",
    ),
)  # fmt: skip
