"""Artefacts of images by visible light: endoscopy, dermoscopy, microscopy."""
