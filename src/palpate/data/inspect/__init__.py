"""Inspect an unknown folder: its images and annotations, as a proposal for a first plan."""
