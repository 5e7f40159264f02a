"""Fine-tune a model against attacks: recipes, the loop, and what comes out of it."""
