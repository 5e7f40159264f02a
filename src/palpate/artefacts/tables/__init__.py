"""The catalogue of artefacts, one table per modality."""
