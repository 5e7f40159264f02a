"""Digital phantoms: synthetic images with known ground truth, made by numpy and scipy alone."""

from palpate.data.phantoms.folder import write_fundus_folder
from palpate.data.phantoms.fundus import GRADES, FundusPhantom, fundus, fundus_set, phantom
from palpate.data.phantoms.lesions import COUNTS, KINDS

__all__ = ["COUNTS", "GRADES", "KINDS", "FundusPhantom", "fundus", "fundus_set", "phantom", "write_fundus_folder"]
