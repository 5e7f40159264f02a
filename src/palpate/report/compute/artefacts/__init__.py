"""The figures of artefacts, and the sentences that put them beside the attacks."""
