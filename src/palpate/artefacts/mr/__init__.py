"""Artefacts of magnetic resonance: what happens to k-space, to the coils and to the magnitude image.

Values of MR have no fixed unit. Air is taken to be the lowest value of a channel, and the 99th percentile above it is
its scale. A scanner stores magnitudes; what it would store of a complex image is found from the clean image and the
change.
"""
