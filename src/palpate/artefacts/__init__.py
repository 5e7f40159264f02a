"""Artefacts of acquisition: what scanners, lenses and patients do to an image, in physical units.

`apply` gives an image with an artefact; `palpate list artefacts` lists them. Only `apply` imports torch, so that
reading the catalogue costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palpate.artefacts.application import Applied, apply

__all__ = ["Applied", "apply"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from palpate.artefacts import application

        return getattr(application, name)
    raise AttributeError(f"module 'palpate.artefacts' has no attribute '{name}'")
