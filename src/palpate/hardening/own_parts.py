"""What a training takes from the user's own code: a loss, an augmentation, an optimiser, each made by a factory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from palpate.errors import InputError
from palpate.models.factory import call


def made_by(field: str, factory: str, root: Path, returns: str, given: Mapping[str, object] = {}) -> object:
    """What a factory of the user returns. It takes `given` by name, or by place where its names are others.

    Args:
        field: the plan's field, for messages.
        factory: `file.py:function` or `package.module:function`.
        root: folder of the plan.
        returns: what it must return, for messages.
        given: what it is called with.

    Raises:
        InputError: the code does not exist, fails, or takes something else; the sentence begins with the field.
    """
    try:
        return call(factory, given, root, by_place=True)
    except InputError as error:
        text = str(error)
        if text.startswith("model.arguments: "):
            takes = f"with {' and '.join(given)}" if given else "without arguments"
            written = text.removeprefix("model.arguments: ").split(": ")[0]
            raise InputError(
                f"{field}: {written} is a factory: it is called once, {takes}, and returns {returns}. Correct what it "
                "takes, or write such a function around it."
            ) from error
        text = text.replace("model.factory", field).replace(", or model.arguments", "")
        raise InputError(text.replace("model.arguments", field)) from error
