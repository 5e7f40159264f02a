"""The text below a field is what it means, wherever it is shown."""

from pydantic import BaseModel, Field, create_model

from palpate.audit.plan.sections.run import RunSection
from palpate.docstrings import Described, meanings
from palpate.report.model.typed import Figure


class Base(BaseModel):
    first: int = 1
    """The first,
    on two lines."""
    bare: int = 2
    """The second."""


class Child(Base):
    own: Base | None = None
    """Of the child."""
    said: int = Field(default=3, description="In the field.")
    """Below the field."""


def test_fields_have_the_text_below_them_and_those_of_their_parents() -> None:
    assert meanings(Child) == {
        "first": "The first,\non two lines.",
        "bare": "The second.",
        "own": "Of the child.",
        "said": "In the field.",
    }
    made = create_model("Made", __base__=Base, more=(int, Field(default=1, description="Made by a call.")))
    assert meanings(made)["more"] == "Made by a call."
    assert "first" in meanings(made)


def test_a_schema_has_the_texts_and_a_class_is_made_without_them() -> None:
    found = Child.model_json_schema(schema_generator=Described)
    assert found["properties"]["own"]["description"] == "Of the child."
    assert found["$defs"]["Base"]["properties"]["first"]["description"].startswith("The first,")
    # To read them when a class is made costs a second at every start.
    made = (*RunSection.model_fields.values(), *Figure.model_fields.values())
    assert all(field.description is None for field in made)
