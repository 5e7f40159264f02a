"""The demo's three small networks, with their weights: `fundus`, `thorax` and `endoscopy`.

The names of `fundus` are here too: plans that earlier versions of the demo wrote import them from here.
"""

from palpate.models.demo.fundus import CLASSES, DISEASE, MEAN, SIZE, STD, build, load

__all__ = ["CLASSES", "DISEASE", "MEAN", "SIZE", "STD", "build", "load"]
