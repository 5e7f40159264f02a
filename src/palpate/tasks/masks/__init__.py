"""Goals, checks and readings of segmentation, which work on masks."""
