"""The subject of an audit: the model, its images and annotations, loaded and checked before any attack."""
