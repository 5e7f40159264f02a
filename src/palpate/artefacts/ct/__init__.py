"""Computed tomography: a parallel-beam scanner in plain torch, and artefacts of its projections."""
