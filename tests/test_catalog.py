"""Which attack goes with which task."""

import pytest

from palpate import catalog
from palpate.errors import PlanError


def test_every_attack_names_kinds_of_task_that_exist():
    for entry in catalog.attacks().values():
        assert entry.tasks and set(entry.tasks) <= set(catalog.TASKS)


def test_an_attack_is_refused_on_a_task_that_it_does_not_attack():
    catalog.check_supports("pgd", "classification", targeted=False)
    catalog.check_supports("segpgd", "detection", targeted=False)
    catalog.check_supports("asma", "segmentation", targeted=True)
    with pytest.raises(PlanError, match=r"'dice-pgd' attacks segmentation, not detection. Choose among .*cospgd"):
        catalog.check_supports("dice-pgd", "detection", targeted=False)
    with pytest.raises(PlanError, match="'asma' needs a goal"):
        catalog.check_supports("asma", "segmentation", targeted=False)
