"""The explorer of a run: every image with its attacks, served on this machine or written as a folder.

Reads records, kept images and the images of the plan; imports no torch and changes nothing.
"""
