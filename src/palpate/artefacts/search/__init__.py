"""The search for the worst artefact that is realistic, and for the severity at which a decision fails."""

from palpate.artefacts.search.found import STEPS, Draws, Found, Worst
from palpate.artefacts.search.ladder import Ladder
from palpate.artefacts.search.run import Reading, search

__all__ = ["STEPS", "Draws", "Found", "Ladder", "Reading", "Worst", "search"]
