"""From loaded material to the course of a training: recipe, judge, loss, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from palpate import catalog
from palpate.audit.plan.identity import encode
from palpate.audit.plan.sections.harden import HardenSection
from palpate.audit.plan.tasks import family, task_of
from palpate.contracts import Attack, Task, Threat
from palpate.errors import InputError
from palpate.harden.contracts import Course
from palpate.harden.data.reading import Table
from palpate.harden.examination import Examination
from palpate.harden.material import Material
from palpate.models.factory import call
from palpate.seeds import derive

MOMENTUM = 0.9


def course_of(material: Material) -> Course:
    """The course of a plan's training.

    Raises:
        InputError: a recipe, an attack, a factory or their settings cannot be used.
    """
    plan, settings = material.plan, material.settings
    task = task_of(plan.task, "untargeted")
    recipe, fallback = recipes_of(settings, task)
    examiner = Examination(
        Table(material.validation),
        material.rows.validation,
        task,
        judge_of(settings, family(plan.task), recipe, plan.threat.build(material.eps)),
        catalog.make("fgsm", plan.threat.build(material.eps)),
        plan.run.batch,
        derive(plan.seed, "harden"),
    )
    return Course(
        victim=material.training.victim,
        judged=material.judged,
        task=task,
        threat=plan.threat.build,
        eps=material.eps,
        recipe=recipe,
        fallback=fallback,
        loss=loss_of(settings, task, plan.root, _counts(material)),
        lessons=material.lessons,
        examiner=examiner,
        settings=settings,
        optimiser=optimiser_of(settings, plan.root),
        seed=derive(plan.seed, "harden"),
    )
