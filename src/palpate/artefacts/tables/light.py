"""Artefacts of endoscopy, dermoscopy and microscopy: images by visible light."""

from palpate.artefacts.tables.entry import ArtefactEntry

TABLE: tuple[ArtefactEntry, ...] = ()
