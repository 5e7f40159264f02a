"""What a derived copy keeps of its source: an allow-list, so that unknown attributes are never copied.

Numbers are kept if they are numbers, terms if DICOM defines them. The only free texts are the manufacturer and the
model of the scanner. Never kept: names, identifiers, dates, UIDs, institutions, persons,
serial numbers, comments, private attributes, overlays, icons, waveforms and the preamble.
"""

from __future__ import annotations

from typing import Any

from palpate.data.formats.dicom.frames import numbers

NUMBERS = (
    # How pixels are mapped and shown.
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelIntensityRelationshipSign"),
    *("PixelAspectRatio", "LossyImageCompressionRatio"),
    # Where they are.
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "EstimatedRadiographicMagnificationFactor"),
    # How they were acquired.
    *("KVP", "XRayTubeCurrent", "Exposure", "ExposureTime", "ExposureInuAs", "GantryDetectorTilt", "TableHeight"),
    *("DataCollectionDiameter", "ReconstructionDiameter", "DistanceSourceToDetector", "DistanceSourceToPatient"),
    *("FocalSpots", "SpiralPitchFactor", "SingleCollimationWidth", "TotalCollimationWidth", "BodyPartThickness"),
    *("CompressionForce", "PositionerPrimaryAngle", "PositionerSecondaryAngle", "ImagingFrequency", "FlipAngle"),
    *("RepetitionTime", "EchoTime", "InversionTime", "EchoTrainLength", "EchoNumbers", "MagneticFieldStrength"),
    *("NumberOfAverages", "PixelBandwidth", "PercentSampling", "PercentPhaseFieldOfView", "FrameTime"),
    *("CineRate", "RecommendedDisplayFrameRate", "ActualFrameDuration"),
)
"""Attributes that are kept if they are numbers."""

_BODY = (
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS CALF "
    "CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA "
    "CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT "
    "GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS ILEUM ILIUM IAC JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER "
    "LLSPINE LSPINE LUNG MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NOSE ORBIT OVARY PANCREAS "
    "PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM RETINA RIB SACRUM SCALP SCAPULA SCLERA "
    "SCROTUM SHOULDER SIJOINT SKIN SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TEETH TESTIS THIGH THORAX THUMB THYMUS "
    "THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER URETHRA UTERUS VAGINA VULVA "
    "WHOLEBODY WRIST ZYGOMA"
)
_VIEWS = (
    "AP PA LL RL LL LATERAL RLD LLD RLO LLO LAO RAO LPO RPO OBLIQUE AXIAL MLO ML LM LMO CC FB SIO ISO XCC XCCL XCCM "
    "TAN CV AT RL RM RS SPOT"
)

TERMS: dict[str, frozenset[str]] = {
    keyword: frozenset(terms.split())
    for keyword, terms in {
        "RescaleType": "HU HU_MOD OD US MGML PCT Z_EFF ED EDW",
        "Units": "CNTS NONE CM2 PCNT CPS BQML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS MLMINML MLML GML",
        "VOILUTFunction": "LINEAR LINEAR_EXACT SIGMOID",
        "PresentationLUTShape": "IDENTITY INVERSE",
        "PixelIntensityRelationship": "LIN LOG DISP",
        "PresentationIntentType": "PROCESSING",  # `FOR PRESENTATION` and `FOR PROCESSING`: see `_term`
        "BurnedInAnnotation": "YES NO",
        "RecognizableVisualFeatures": "YES NO",
        "LossyImageCompression": "00 01",
        "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15 ISO_13818_2 ISO_14496_10",
        "BodyPartExamined": _BODY,
        "PatientPosition": "HFP HFS HFDR HFDL FFP FFS FFDR FFDL LFP LFS RFP RFS AFDR AFDL PFDR PFDL SITTING",
        "PatientOrientation": "L R A P H F LA LP RA RP AL AR PL PR LH LF RH RF AH AF PH PF HL HR FL FR HA HP FA FP",
        "ViewPosition": _VIEWS,
        "ImageLaterality": "L R U B",
        "Laterality": "L R",
        "FrameLaterality": "L R U B",
        "ScanningSequence": "SE IR GR EP RM",
        "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
        "MRAcquisitionType": "2D 3D",
        "RotationDirection": "CW CC",
        "PhotometricInterpretation": "MONOCHROME1 MONOCHROME2",
        "PixelPresentation": "COLOR MONOCHROME MIXED TRUE_COLOR COLOR_REF",
        "VolumetricProperties": "VOLUME SAMPLED DISTORTED MIXED",
        "VolumeBasedCalculationTechnique": "MAX_IP MIN_IP VOLUME_RENDER SURFACE_RENDER MPR CURVED_MPR NONE MIXED",
        "ComplexImageComponent": "MAGNITUDE PHASE REAL IMAGINARY MIXED",
        "AcquisitionContrast": (
            "DIFFUSION FLOW_ENCODED FLUID_ATTENUATED PERFUSION PROTON_DENSITY STIR TAGGING T1 T2 T2_STAR TOF UNKNOWN"
        ),
        "ResonantNucleus": "1H 3HE 7LI 13C 19F 23NA 31P 129XE",
    }.items()
}
"""Attributes that are kept if they are terms that DICOM defines."""

NAMES = ("Manufacturer", "ManufacturerModelName")
"""The free texts that are kept: the scanner."""

FRAME_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence")
"""Functional groups that say, like the image type, what was derived."""

_GROUPS: dict[str, tuple[str, ...]] = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "FrameContentSequence": ("InStackPositionNumber", "TemporalPositionIndex", "DimensionIndexValues"),
    **dict.fromkeys(
        FRAME_TYPES,
        (
            *("PixelPresentation", "VolumetricProperties", "VolumeBasedCalculationTechnique"),
            *("ComplexImageComponent", "AcquisitionContrast"),
        ),
    ),
}
SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence")
"""Sequences of which an allow-list of attributes is kept."""

KEPT = (*NUMBERS, *TERMS, *NAMES, *SEQUENCES, "SOPClassUID", "Modality", "ImageType", "FrameIncrementPointer")
"""Every attribute that a copy may get from its source."""


def plain(text: object, longest: int = 64) -> str:
    """A text without characters that end a DICOM value or a line, and not longer than its representation allows."""
    return " ".join("".join(c if c.isprintable() and c != "\\" else " " for c in str(text)).split())[:longest].strip()


def keep(source: Any, target: Any, keywords: tuple[str, ...] = (*NUMBERS, *TERMS, *NAMES)) -> None:
    """Copy those of the named attributes that have valid values."""
    for keyword in keywords:
        try:
            value = source.get(keyword)
        except Exception:  # pydicom raises many errors on invalid values, such as "n/a" for a number
            continue
        if value is None or value == "" or isinstance(value, bytes):
            continue
        if keyword in TERMS:
            good = _is_term(keyword, value)
        elif keyword in NAMES:
            value, good = plain(value), True
        else:
            good = bool(numbers(value))
        if good:
            setattr(target, keyword, value)


def keep_groups(source: Any, target: Any) -> None:
    """Copy from the functional groups and dimensions the positions of frames and the meaning of their pixels."""
    from pydicom.dataset import Dataset

    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = []
        for item in source.get(name) or []:
            kept = Dataset()
            for group, keywords in _GROUPS.items():
                found = item.get(group)
                if found:
                    inner = Dataset()
                    keep(found[0], inner, keywords)
                    if "InStackPositionNumber" in inner:
                        inner.StackID = "1"
                    setattr(kept, group, [inner])
            items.append(kept)
        if items:
            setattr(target, name, items)


def _is_term(keyword: str, value: Any) -> bool:
    parts = [value] if isinstance(value, str) else list(value)
    if keyword == "PresentationIntentType":
        return parts in (["FOR PRESENTATION"], ["FOR PROCESSING"])
    return all(part in TERMS[keyword] for part in parts)
