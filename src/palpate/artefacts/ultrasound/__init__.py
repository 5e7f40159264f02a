"""Artefacts of ultrasound, along its beams.

v is a value as a share of the range: 0 is black. The skin is at the top of the image.
"""
