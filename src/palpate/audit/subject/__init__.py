"""What is audited: the model, its images and annotations, loaded and looked at before any attack."""
