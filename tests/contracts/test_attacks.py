"""Every attack of the catalog against every contract: a new catalog row is tested without a new test."""

import pytest

from palpate import catalog
from palpate.checks import ATTACK_CONTRACTS, Subject


def subject(entry):
    return Subject(
        make=lambda threat: catalog.make(entry.name, threat),
        norms=entry.norms,
        gradient=entry.gradient,
        random=entry.random,
        projected=entry.projected,
        own_threat=entry.own_threat,
    )


@pytest.mark.parametrize("contract", ATTACK_CONTRACTS)
@pytest.mark.parametrize("name", catalog.attacks())
def test_attack_keeps_contract(name, contract):
    ATTACK_CONTRACTS[contract](subject(catalog.find(name)))
