"""Artefacts of radiographs: exposure, the beam, and the detector.

Dense tissue is bright, as in files that are shown without inversion. v is a value as a share of the range: 0 at the
lowest value that can be stored, and 1 at the highest.
"""
