"""Artefacts of endoscopy, dermoscopy and microscopy: images by visible light."""

from palpate.artefacts.tables.entry import ArtefactEntry

_L = "palpate.artefacts.light"
_LENS = ("endoscopy", "dermoscopy")
_PHOTOGRAPHS = ("endoscopy", "dermoscopy", "microscopy")
TABLE: tuple[ArtefactEntry, ...] = (
    ArtefactEntry(
        "lens-particles", f"{_L}.lens:LensParticles", "Dirt on the front lens, far out of focus, stops light.",
        _LENS, "Gu, Ramamoorthi, Belhumeur, Nayar, Removing Image Artifacts Due to Dirty Camera Lenses and Thin "
        "Occluders, ACM TOG 28(5), 2009.",
    ),
    ArtefactEntry(
        "droplets", f"{_L}.lens:Droplets", "Drops on the front lens: out of focus behind them, with a bright rim.",
        _LENS, "derived: a drop on the front lens is a further weak lens before a part of the view.",
    ),
    ArtefactEntry(
        "defocus", f"{_L}.blur:Defocus", "The camera is out of focus.", _PHOTOGRAPHS,
        "Goodman, Introduction to Fourier Optics, 2005: the transfer function of a lens out of focus.",
    ),
    ArtefactEntry(
        "motion-blur", f"{_L}.blur:MotionBlur", "The camera or the patient moves during the exposure.",
        (*_PHOTOGRAPHS, "fundus"),
        "derived: an even movement during the exposure; as kornia.filters.motion_blur.",
    ),
    ArtefactEntry(
        "sequential-colour", f"{_L}.blur:SequentialColour", "Red, green and blue are taken one after the other.",
        ("endoscopy",), "derived: colour-wheel endoscopes take three pictures, and the camera moves in between.",
    ),
    ArtefactEntry(
        "specular-highlights", f"{_L}.reflections:SpecularHighlights", "Wet tissue mirrors the lamp.", _LENS,
        "Phong, Illumination for Computer Generated Pictures, CACM 18, 1975: light that is mirrored is added.",
    ),
    ArtefactEntry(
        "bubbles", f"{_L}.reflections:Bubbles", "Bubbles with bright rims on the tissue.", ("endoscopy",),
        "Marston, Critical angle scattering by a bubble, J. Opt. Soc. Am. 69, 1979.",
    ),
    ArtefactEntry(
        "smoke", f"{_L}.illumination:Smoke", "Smoke or steam before the lens veils the tissue.", ("endoscopy",),
        "Koschmieder, Theorie der horizontalen Sichtweite, 1924: L t + A (1 - t).",
    ),
    ArtefactEntry(
        "vignetting", f"{_L}.illumination:Vignetting", "Light falls towards the border of the view.", _PHOTOGRAPHS,
        "The cosine-fourth law; for example Born, Wolf, Principles of Optics, 4.8.",
    ),
    ArtefactEntry(
        "colour-cast", f"{_L}.colour:ColourCast", "Another white balance, lamp or stain.", _PHOTOGRAPHS,
        "von Kries: one gain for each channel; Planck's law for the gains.",
    ),
    ArtefactEntry(
        "colour-saturation", f"{_L}.colour:ColourSaturation", "Colours are paler or stronger.", _PHOTOGRAPHS,
        "ITU-R BT.601: brightness is kept, the rest is multiplied.",
    ),
    ArtefactEntry(
        "hair", f"{_L}.strokes:Hair", "Dark hairs cross the skin.", ("dermoscopy",),
        "derived: light that hairs stop; curved bands as in Lee et al., DullRazor, Comput. Biol. Med. 27, 1997.",
    ),
    ArtefactEntry(
        "ink", f"{_L}.strokes:Ink", "Marks of a surgical pen on the skin.", ("dermoscopy",),
        "derived: gentian violet absorbs green and yellow light most (maximum near 590 nm).",
    ),
    ArtefactEntry(
        "ruler", f"{_L}.dermatoscope:Ruler", "A scale with ticks is in the view.", ("dermoscopy",),
        "derived: a printed scale stops light.",
    ),
    ArtefactEntry(
        "dark-corner", f"{_L}.dermatoscope:DarkCorner", "The round opening of the dermatoscope darkens the corners.",
        ("dermoscopy",), "Di Salvo, Doerrich, Ledig, MedMNIST-C, arXiv:2406.17536.",
    ),
    ArtefactEntry(
        "stain", f"{_L}.slide:Stain", "The slide is stained more or less.", ("microscopy",),
        "Ruifrok, Johnston, Anal. Quant. Cytol. Histol. 23, 2001: absorbance grows with the stain (Beer-Lambert).",
    ),
    ArtefactEntry(
        "stain-deposit", f"{_L}.slide:StainDeposit", "Clumps of stain lie on the slide.", ("microscopy",),
        "Di Salvo, Doerrich, Ledig, MedMNIST-C, arXiv:2406.17536.",
    ),
)  # fmt: skip
