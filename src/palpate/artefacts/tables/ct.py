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
    ArtefactEntry(
        "low-dose", f"{_CT}.dose:LowDose", "Noise of a scan with less dose.", ("ct",),
        "Zeng et al., A simple low-dose x-ray CT simulation from high-dose scan, IEEE Transactions on Nuclear Science "
        "2015.",
    ),
    ArtefactEntry(
        "few-views", f"{_CT}.dose:FewViews", "Streaks of a scan with fewer views.", ("ct",),
        "derived: filtered back-projection of fewer views (Kak, Slaney, Principles of Computerized Tomographic "
        "Imaging, 1988, chapter 5).",
    ),
    ArtefactEntry(
        "detector-blur", f"{_CT}.detector:DetectorBlur", "A detector that blurs.", ("ct",),
        "derived: projection theorem (Kak, Slaney, Principles of Computerized Tomographic Imaging, 1988).",
    ),
    ArtefactEntry(
        "ring", f"{_CT}.detector:Ring", "Rings of detector elements of wrong gain.", ("ct",),
        "derived: back-projection of an error that all views share (Sijbers, Postnov, Reduction of ring artefacts in "
        "high resolution micro-CT reconstructions, Physics in Medicine and Biology 2004).",
    ),
    ArtefactEntry(
        "truncation", f"{_CT}.detector:Truncation", "The body is wider than the field of view.", ("ct",),
        "Ohnesorge, Flohr, Schwarz, Heiken, Bae, Efficient correction for CT image artifacts caused by objects "
        "extending outside the scan field of view, Medical Physics 2000.",
    ),
    ArtefactEntry(
        "partial-volume", f"{_CT}.thickness:PartialVolume", "Thick slices of a volume.", ("ct",),
        "derived: the mean over a slab of linearly interpolated slices.",
    ),
)  # fmt: skip
