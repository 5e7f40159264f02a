"""Artefacts of radiographs."""

from palpate.artefacts.tables.entry import ArtefactEntry

_X = "palpate.artefacts.xray"
_XRAY = ("xray",)
TABLE = (
    ArtefactEntry(
        "exposure", f"{_X}.exposure:Exposure", "Too much or too little exposure.", _XRAY,
        "Di Salvo et al., MedMNIST-C, arXiv:2406.17536.",
    ),
    ArtefactEntry(
        "gamma", f"{_X}.exposure:Gamma", "Another characteristic curve of detector or display.", _XRAY,
        "Di Salvo et al., MedMNIST-C, arXiv:2406.17536.",
    ),
    ArtefactEntry(
        "quantum-noise", f"{_X}.exposure:QuantumNoise", "Few photons: noise whose variance follows the signal.", _XRAY,
        "Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019 (shot noise).",
    ),
    ArtefactEntry(
        "scatter-veil", f"{_X}.beam:ScatterVeil", "Scattered radiation takes contrast from dense regions.", _XRAY,
        "derived: the logarithm of primary and blurred primary; ratios of Niklason, Sorenson, Nelson, Scattered "
        "radiation in chest radiography, Medical Physics 8 (1981) 677.",
    ),
    ArtefactEntry(
        "grid-lines", f"{_X}.beam:GridLines", "Lines of the anti-scatter grid, or their moire.", _XRAY,
        "Lin et al., A study of grid artifacts formation and elimination in computed radiographic images, "
        "Journal of Digital Imaging 19 (2006) 351.",
    ),
    ArtefactEntry(
        "collimation", f"{_X}.beam:Collimation", "The collimator covers the borders.", _XRAY,
        "derived: straight edges with the penumbra of a focal spot.",
    ),
    ArtefactEntry(
        "x-ray-blur", f"{_X}.exposure:XRayBlur", "Detector and focal spot blur the image.", _XRAY,
        "derived: the normal approximation of a point spread function.",
    ),
)  # fmt: skip
