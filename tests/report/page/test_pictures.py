from __future__ import annotations

import base64

import pytest

from palpate.report.page import pictures
from palpate.report.page.pictures import embed
from palpate.storage.runs import RunFolder

DATA = pictures.PNG + b"the rest"


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    (tmp_path / "run" / "images").mkdir(parents=True)
    (tmp_path / "run" / "images" / "a.png").write_bytes(DATA)
    (tmp_path / "run" / "images" / "page.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "secret.png").write_bytes(DATA)
    return RunFolder(tmp_path / "run")


def test_a_picture_is_embedded_whole(folder):
    assert embed(folder, "images/a.png") == "data:image/png;base64," + base64.b64encode(DATA).decode()


@pytest.mark.parametrize("path", ["images/none.png", "images", "images/page.png", "../secret.png", "a\0b"])
def test_what_is_no_picture_of_the_run_is_left_out(folder, path):
    assert embed(folder, path) is None


def test_no_path_or_link_leads_out_of_the_run(folder, tmp_path):
    assert embed(folder, str(tmp_path / "secret.png")) is None
    (folder.images / "link.png").symlink_to(tmp_path / "secret.png")
    assert embed(folder, "images/link.png") is None


def test_a_picture_too_large_for_a_report_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST", len(DATA) - 1)
    assert embed(folder, "images/a.png") is None
