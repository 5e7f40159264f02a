"""What the fields of a pydantic model mean: the text below each, read when somebody asks.

pydantic can read these texts when a class is made (`use_attribute_docstrings`); every start of palpate paid for it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import core_schema


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """The text of each field that has one, by name, as below; `Field(description=...)` comes first.

        class Section(BaseModel):
            steps: int = 40
            \"\"\"Steps of the attack.\"\"\"

    Example: `meanings(Section)["steps"]` is "Steps of the attack."
    """
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        found |= _below(kind)
    found |= {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: text for name, text in found.items() if name in model.model_fields}


@cache
def _below(kind: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):  # a built-in class, or one that was made by a call
        return {}
    found = {}
    (made,) = ast.parse(source).body
    for field, text in pairwise(getattr(made, "body", ())):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = inspect.cleandoc(said)
    return found


class Described(GenerateJsonSchema):
    """Writes a JSON schema with the meaning of each field: `Model.model_json_schema(schema_generator=Described)`."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """The schema of one model."""
        made = super().model_schema(schema)
        told = meanings(schema["cls"])
        for name, of_field in made.get("properties", {}).items():
            if name in told:
                of_field.setdefault("description", told[name])
        return made
