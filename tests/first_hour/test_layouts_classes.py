"""Folders of classes and findings as people bring them: `init` recognises them, and `audit` runs its plan unedited."""

from __future__ import annotations

from pathlib import Path

import pytest

from palpate.audit.plan import Plan, parse_plan
from palpate.audit.starter import starting_plan
from palpate.audit.subject import load_subject
from tests.first_hour.class_layouts import LAYOUTS, model


def started(folder: Path) -> Plan:
    """The plan that `init` writes for a folder, with one quick attack in place of all."""
    text = starting_plan(folder, folder)
    head = text[: text.index("# `palpate list attacks`")]
    return parse_plan(f'{head}\n[[attacks]]\nattack = "noise"\n', folder / "plan.toml")


@pytest.fixture(params=LAYOUTS)
def brought(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, object]]:
    write, outputs, expected = LAYOUTS[request.param]
    folder = tmp_path / "brought"
    folder.mkdir()
    write(folder)
    model(folder, outputs)
    return folder, expected


def test_init_recognises_it_and_audit_reads_it(brought: tuple[Path, dict[str, object]]) -> None:
    folder, expected = brought
    plan = started(folder)
    said = {**plan.data.model_dump(), **plan.task.model_dump()}
    subject = load_subject(plan)
    assert len(subject.table) == expected.pop("images")
    assert {name: said[name] for name in expected if name != "images"} == expected
    with subject.victim as victim:
        outputs = victim.glance(subject.images((0, 1)))
    assert outputs.shape == (2, len(plan.task.names))
