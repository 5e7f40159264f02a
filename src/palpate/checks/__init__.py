"""The contracts of every attack, artefact, threat, task and metric, as checks that users can run on their own parts.

    from palpate.checks import check_attack
    check_attack(lambda threat: my_attack(threat, steps=20), random=True)

Each check raises `ContractError`, whose text names the contract and what was seen.
"""

from __future__ import annotations

from palpate.checks.artefact import ARTEFACT_CONTRACTS, ArtefactCase, check_artefact
from palpate.checks.attack import ATTACK_CONTRACTS, Subject, check_attack
from palpate.checks.attack_confined import ATTACK_CONFINED_CONTRACTS, check_attack_confined
from palpate.checks.attack_tasks import ATTACK_TASK_CONTRACTS, check_attack_on_tasks
from palpate.checks.metric import METRIC_CONTRACTS, check_metric
from palpate.checks.task import TASK_CONTRACTS, check_task
from palpate.checks.threat import THREAT_CONTRACTS, check_threat
from palpate.checks.violation import ContractError

__all__ = [
    "ARTEFACT_CONTRACTS",
    "ATTACK_CONFINED_CONTRACTS",
    "ATTACK_CONTRACTS",
    "ATTACK_TASK_CONTRACTS",
    "METRIC_CONTRACTS",
    "TASK_CONTRACTS",
    "THREAT_CONTRACTS",
    "ArtefactCase",
    "ContractError",
    "Subject",
    "check_artefact",
    "check_attack",
    "check_attack_confined",
    "check_attack_on_tasks",
    "check_metric",
    "check_task",
    "check_threat",
]
