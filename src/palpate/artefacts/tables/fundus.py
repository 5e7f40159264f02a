"""Artefacts of fundus photographs."""

from palpate.artefacts.tables.entry import ArtefactEntry

TABLE: tuple[ArtefactEntry, ...] = ()
