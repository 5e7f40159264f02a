"""The preview of a plan's artefacts: contact sheets, made without the model."""
