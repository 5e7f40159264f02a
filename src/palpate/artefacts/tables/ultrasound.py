"""Artefacts of ultrasound."""

from palpate.artefacts.tables.entry import ArtefactEntry

TABLE: tuple[ArtefactEntry, ...] = ()
