"""Trained folders of nnU-Net v2: what they say, their networks, and all that nnU-Net does around a network."""
