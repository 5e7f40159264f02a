"""One change for all images of a group: how it is learned, and the attack that applies it."""
