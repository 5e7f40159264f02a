"""Annotations of images: masks, boxes, findings and regions."""
