"""Digital phantoms: synthetic images with known ground truth, made only with numpy and scipy."""

from palpate.data.phantoms.endoscopy import ARTEFACTS, EndoscopyPhantom, endoscopy, endoscopy_set
from palpate.data.phantoms.folder import (
    write_endoscopy_folder,
    write_fundus_folder,
    write_thorax_folder,
    write_thorax_volumes,
)
from palpate.data.phantoms.fundus import GRADES, FundusPhantom, fundus, fundus_set, phantom
from palpate.data.phantoms.lesions import COUNTS, KINDS
from palpate.data.phantoms.thorax import LUNGS, ThoraxPhantom, thorax_set, thorax_slice, thorax_volume

__all__ = [
    "ARTEFACTS",
    "COUNTS",
    "GRADES",
    "KINDS",
    "LUNGS",
    "EndoscopyPhantom",
    "FundusPhantom",
    "ThoraxPhantom",
    "endoscopy",
    "endoscopy_set",
    "fundus",
    "fundus_set",
    "phantom",
    "thorax_set",
    "thorax_slice",
    "thorax_volume",
    "write_endoscopy_folder",
    "write_fundus_folder",
    "write_thorax_folder",
    "write_thorax_volumes",
]
