"""Identities: there and back, and no change without another hash."""

import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palpate import catalog
from palpate.attacks.ascent import Ascent
from palpate.attacks.directions import Diversity, Momentum, Nesterov, Translation
from palpate.attacks.noise import RandomNoise
from palpate.attacks.objectives import Deviation, Margin, Stabilised
from palpate.attacks.sparse.steps import Sparse
from palpate.attacks.square import Square
from palpate.attacks.steps import Cosine, Fixed, Halving
from palpate.audit.plan.identity import NAMES, digest, encode
from palpate.errors import InputError
from palpate.preprocess import Preprocess
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Towards, Untargeted
from palpate.tasks.heads import Cumulative, OneLogit, Softmax
from palpate.threats.ball import BALLS, L1, L2, Linf, LinfSteps
from tests.decoding import decode

positive = st.floats(1e-6, 1e6)
radii = positive | st.lists(positive, min_size=1, max_size=3).map(tuple)
threats = st.one_of(*(st.builds(kind, radii) for kind in (Linf, L2, L1, LinfSteps)))
odd = st.integers(0, 5).map(lambda half: 2 * half + 1)
objectives = st.one_of(
    st.builds(Deviation),
    st.builds(Margin, st.booleans()),
    st.builds(
        Stabilised,
        st.floats(0, 0.99),
        st.sampled_from(["step", "perturbation", "image"]),
        st.just("distribution"),
        st.booleans(),
        odd,
        positive,
    ),
)
directions = st.one_of(
    st.builds(Momentum, st.floats(0, 2)),
    st.builds(Nesterov, st.floats(0, 2)),
    st.builds(Translation, odd, positive),
    st.builds(Diversity, st.floats(0.5, 0.99), st.floats(0, 1)),
)
steps = st.one_of(
    st.builds(Fixed, positive),
    st.builds(Cosine, positive),
    st.builds(Halving, positive, st.floats(0, 1), st.floats(0, 1)),
    st.builds(Sparse, st.floats(1, 2), st.floats(0.01, 0.9), st.floats(1.1, 2)),
)
attacks = st.one_of(
    st.builds(
        Ascent,
        threats,
        st.integers(1, 100),
        objectives,
        st.lists(directions, max_size=3).map(tuple),
        steps,
        st.just(True),
        st.integers(1, 5),
        st.booleans(),
    ),
    st.builds(RandomNoise, threats, st.integers(1, 50)),
    st.builds(Square, threats, st.integers(1, 50), st.floats(0.01, 1.0), st.booleans()),
)
goals = st.one_of(
    st.builds(Untargeted), st.builds(Towards, st.lists(st.integers(0, 4), min_size=1).map(tuple), st.text())
)
heads = st.one_of(st.builds(Softmax), st.builds(Cumulative))
tasks = st.one_of(
    st.builds(Classification, st.integers(5, 9), goals, heads),
    st.builds(Classification, st.just(2), st.builds(Untargeted), st.builds(OneLogit, st.floats(0.01, 0.99))),
)
preprocessings = st.builds(
    Preprocess,
    st.none() | st.tuples(st.integers(1, 999), st.integers(1, 999)),
    st.none() | st.integers(1, 4),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=3).map(tuple),
    st.lists(positive, min_size=1, max_size=3).map(tuple),
)
values = st.one_of(attacks, tasks, preprocessings)


# A busy machine is no mistake of the identities.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_there_and_back_through_text(value: Any) -> None:
    back = decode(json.loads(json.dumps(encode(value))))
    assert back == value and type(back) is type(value)
    assert digest(back) == digest(value)


def neighbours(value: Any) -> Iterator[Any]:
    """Values that differ in one number, text or truth value at any depth, as little as can be."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, float):
        yield math.nextafter(value, -math.inf if value > 0 else math.inf)
    elif isinstance(value, str):
        yield value + " "
    elif isinstance(value, tuple):
        for place, entry in enumerate(value):
            yield from ((*value[:place], other, *value[place + 1 :]) for other in neighbours(entry))
    elif is_dataclass(value):
        for field in fields(value):
            for other in neighbours(getattr(value, field.name)):
                with suppress(InputError):  # a value that the type refuses is no neighbour
                    yield replace(value, **{field.name: other})


@given(values)
def test_any_changed_field_changes_the_hash(value: Any) -> None:
    own, others = digest(value), list(neighbours(value))
    assert others
    assert own not in {digest(other) for other in others}
    assert len({digest(other) for other in others}) == len(others)


@given(values, values)
def test_equal_values_and_only_they_have_equal_hashes(one: Any, other: Any) -> None:
    # As text, because 0.0 equals -0.0.
    assert (digest(one) == digest(other)) == (repr(one) == repr(other))


def test_a_whole_number_is_not_its_float_and_true_is_not_one() -> None:
    assert len({digest(1), digest(1.0), digest(True), digest("1"), digest(None), digest((1,))}) == 6


def test_types_that_hold_the_same_numbers_differ() -> None:
    assert len({digest(kind(2.0)) for kind in (Linf, L2, L1, LinfSteps)}) == 4
    assert digest(Fixed(0.1)) != digest(Cosine(0.1))


def test_the_order_of_keys_does_not_count() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@pytest.mark.parametrize("number", [math.inf, -math.inf, 5e-324, -0.0, 0.1, 1 / 3, 1.7976931348623157e308])
def test_floats_stay_exact(number: float) -> None:
    back = decode(json.loads(json.dumps(encode(number), allow_nan=False)))
    assert math.copysign(1, back) == math.copysign(1, number) and back == number


def test_nan_has_an_identity() -> None:
    assert math.isnan(decode(encode(math.nan)))


def test_every_attack_of_the_catalog_has_an_identity() -> None:
    found = {name: catalog.make(name, BALLS[entry.norms[0]](1.0)) for name, entry in catalog.attacks().items()}
    assert all(decode(encode(attack)) == attack for attack in found.values())
    assert len({digest(attack) for attack in found.values()}) == len(found)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "Popen", "fields": {"args": "true"}},
        {"type": "subprocess:Popen", "fields": {"args": "true"}},
        {"type": "object", "fields": {}},
        {"__class__": "Linf"},
        {"type": "Linf"},
    ],
)
def test_only_types_of_palpate_are_made(data: Any) -> None:
    with pytest.raises(InputError, match="is no type of palpate's"):
        decode(data)


def test_fields_that_a_type_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match="Linf has other fields"):
        decode({"type": "Linf", "fields": {"eps": 1.0, "extra": 2}})


def test_the_allowed_types_are_frozen_values() -> None:
    assert all(dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen for kind in NAMES.values())


@dataclass(frozen=True)
class Foreign:
    """An attack of another package: hashed, never made."""

    threat: Linf
    power: int = 2


def test_a_foreign_dataclass_can_be_hashed_and_not_decoded() -> None:
    assert digest(Foreign(Linf(1.0))) != digest(Foreign(Linf(1.0), 3))
    with pytest.raises(InputError, match="is no type of palpate's"):
        decode(encode(Foreign(Linf(1.0))))


def test_what_is_no_value_has_no_identity() -> None:
    for value in (object(), {1: 2}, lambda: None, {1, 2}):
        with pytest.raises(InputError, match="is not a frozen dataclass"):
            digest(value)
