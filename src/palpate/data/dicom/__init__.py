"""DICOM: files, multi-frame objects and series as images with a lattice and units, and derived copies of them."""

from palpate.data.dicom.formats import Dicom
from palpate.data.dicom.series import DicomSeries

__all__ = ["Dicom", "DicomSeries"]
