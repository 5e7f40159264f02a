"""DICOM: files, multi-frame objects and series as images with a lattice and units, derived copies, and SEG masks."""

from palpate.data.formats.dicom.formats import Dicom
from palpate.data.formats.dicom.patients import patient_key
from palpate.data.formats.dicom.segmentation import SegmentMasks, read_segmentation
from palpate.data.formats.dicom.series import DicomSeries

__all__ = ["Dicom", "DicomSeries", "SegmentMasks", "patient_key", "read_segmentation"]
