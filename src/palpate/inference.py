"""How the clinic evaluates a network on inputs that are larger than its window: part of what is attacked."""
