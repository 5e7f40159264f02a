"""Two or more runs over the same images: what differs between them, and who changed."""
