"""Probes of what attacks may have missed: short attacks of other kinds on a few images that nothing beat."""

from palpate.quality.estimated import Estimated
from palpate.quality.probes import PROBES, Probed, Setting, planned, probe
from palpate.quality.surrogate import Surrogate

__all__ = ["PROBES", "Estimated", "Probed", "Setting", "Surrogate", "planned", "probe"]
