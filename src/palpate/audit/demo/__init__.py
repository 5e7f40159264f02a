"""The demo: folders of images, a model and a plan, as `palpate demo` writes them."""
