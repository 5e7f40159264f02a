"""Which files are of one patient. The identifier is used for grouping in memory and never stored."""

from __future__ import annotations

from pathlib import Path

from palpate.data.formats.dicom.files import is_image_file, one_sentence, open_header
from palpate.data.formats.dicom.writing import PATIENT_ID


def patient_key(path: Path) -> str | None:
    """A text that is equal for files of one patient: the patient's identifier and who issued it.

    It identifies the patient: use it to group files, and do not store or print it.

    Args:
        path: a DICOM file, or the folder of a series, of which the first file is used.

    Returns:
        None if the file names no patient, is a copy that palpate wrote, or the folder has no DICOM file.

    Raises:
        InputError: the file is not a readable DICOM file.
    """
    if path.is_dir():
        files = (entry for entry in sorted(path.iterdir()) if is_image_file(entry))
        first = next(files, None)
        return None if first is None else patient_key(first)
    with one_sentence(path):
        dataset = open_header(path, ("PatientID", "IssuerOfPatientID")).dataset
        patient = str(dataset.get("PatientID") or "").strip()
        issuer = str(dataset.get("IssuerOfPatientID") or "").strip()
    return None if patient in ("", PATIENT_ID) else f"{issuer}\n{patient}"
