"""Artefacts of magnetic resonance."""

from palpate.artefacts.tables.entry import ArtefactEntry

_M = "palpate.artefacts.mr"
_MR = ("mr",)
TABLE = (
    ArtefactEntry(
        "mr-motion", f"{_M}.motion:Motion", "The patient moves twice while k-space is acquired.", _MR,
        "Zaitsev, Maclaren, Herbst, Motion artifacts in MRI, JMRI 42 (2015) 887; rotation: Larkin, Oldenburg, Klemm, "
        "Optics Communications 139 (1997) 99.",
    ),
    ArtefactEntry(
        "ghosting", f"{_M}.kspace:Ghosting", "Breath or pulse makes each n-th line of k-space weaker.", _MR,
        "Axel, Summers, Kressel, Charles, Respiratory effects in two-dimensional Fourier transform MR imaging, "
        "Radiology 160 (1986) 795.",
    ),
    ArtefactEntry(
        "spikes", f"{_M}.kspace:Spikes", "An electric discharge: stripes over the whole image.", _MR,
        "Foo, Grigsby, Mitchell, Slayman, SNORE: spike noise removal and detection, IEEE TMI 13 (1994) 133.",
    ),
    ArtefactEntry(
        "bias-field", f"{_M}.field:BiasField", "The coils receive more from one side than from another.", _MR,
        "Van Leemput, Maes, Vandermeulen, Suetens, Automated model-based bias field correction, "
        "IEEE TMI 18 (1999) 885.",
    ),
    ArtefactEntry(
        "gibbs", f"{_M}.kspace:Gibbs", "Outer k-space is missing: edges ring and detail is lost.", _MR,
        "Gottlieb, Shu, On the Gibbs phenomenon and its resolution, SIAM Review 39 (1997) 644.",
    ),
    ArtefactEntry(
        "rician-noise", f"{_M}.field:RicianNoise", "Noise of the two channels of the receiver, in the magnitude.", _MR,
        "Gudbjartsson, Patz, The Rician distribution of noisy MRI data, Magnetic Resonance in Medicine 34 (1995) 910.",
    ),
    ArtefactEntry(
        "anisotropy", f"{_M}.sampling:Anisotropy", "Slices are thick: means along one axis.", _MR,
        "derived: the mean over a slice, and linear interpolation between slices, as viewers do.",
    ),
    ArtefactEntry(
        "wrap-around", f"{_M}.sampling:WrapAround", "The field of view is too small, and its outside folds over.", _MR,
        "Nishimura, Principles of Magnetic Resonance Imaging, 2010.",
    ),
)  # fmt: skip
