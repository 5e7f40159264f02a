"""Detectors as they are shipped: what torchvision, MONAI, Hugging Face and YOLO exports return, read as candidates."""

from __future__ import annotations

from palpate.models.detectors.shipped.form import Form, Said
from palpate.models.detectors.shipped.module import ShippedDetector
from palpate.models.detectors.shipped.recognise import Recognised, recognised
from palpate.models.detectors.shipped.trial import Read, read_shipped

__all__ = ["Form", "Read", "Recognised", "Said", "ShippedDetector", "read_shipped", "recognised"]
