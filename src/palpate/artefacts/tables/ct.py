"""Artefacts of computed tomography."""

from palpate.artefacts.tables.entry import ArtefactEntry

TABLE: tuple[ArtefactEntry, ...] = ()
