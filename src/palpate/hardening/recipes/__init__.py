"""Recipes: how training images are attacked, and what is minimised."""
