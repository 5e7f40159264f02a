"""Artefacts of magnetic resonance."""

from palpate.artefacts.tables.entry import ArtefactEntry

TABLE: tuple[ArtefactEntry, ...] = ()
