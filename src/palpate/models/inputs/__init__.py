"""What a model is given besides the image: numbers, a second view, prompts. They come from columns of the table."""
