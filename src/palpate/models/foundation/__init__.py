"""Foundation models of transformers as victims: segmenters with a prompt, and classifiers by texts."""
