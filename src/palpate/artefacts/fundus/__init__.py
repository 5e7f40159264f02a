"""Artefacts of fundus photographs. The black surround of the round field of view stays black.

v is a value as a share of the range. Lengths are in heights of the image.
"""
