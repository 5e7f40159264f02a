"""DICOM: files, multi-frame objects and series as images with a lattice and units, derived copies, and SEG masks."""

from palpate.data.dicom.formats import Dicom
from palpate.data.dicom.patients import patient_key
from palpate.data.dicom.segmentation import SegmentMasks, read_segmentation
from palpate.data.dicom.series import DicomSeries

__all__ = ["Dicom", "DicomSeries", "SegmentMasks", "patient_key", "read_segmentation"]
