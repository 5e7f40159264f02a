"""Keys of a service: named in the plan, read from elsewhere, sent, and shown nowhere."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palpate import cli
from palpate.errors import InputError
from palpate.models.endpoint import Endpoint, EndpointModel
from palpate.models.loading import ModelSource
from palpate.models.secrets import looks_like_key
from tests.audit import tiny
from tests.models.test_endpoint import Service, images

KEY = "hunter2-Zx9"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALPATE_TEST_KEY", f" {KEY}\n")
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    return tmp_path


def model(service: Service, root: Path, **settings: Any) -> EndpointModel:
    return EndpointModel(Endpoint(service.url, per_second=1e6, **settings), root)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ({"env": "PALPATE_TEST_KEY"}, KEY),
        ({"env": "PALPATE_TEST_KEY", "prefix": "Bearer "}, f"Bearer {KEY}"),
        ({"file": "key.txt", "prefix": "ApiKey "}, f"ApiKey {KEY}"),
        ("application/json;v=2", "application/json;v=2"),
    ],
)
def test_headers_are_sent_with_every_image(service: Service, kept: Path, written: Any, sent: str) -> None:
    model(service, kept, headers={"X-Told": written})(images(2))
    assert [headers["X-Told"] for _, headers, _ in service.asked] == [sent, sent]
    assert {headers["Content-Type"] for _, headers, _ in service.asked} == {"application/x-npy"}


def test_a_query_is_sent_encoded(service: Service, kept: Path) -> None:
    model(service, kept, query={"model": "a b", "key": {"file": "key.txt"}})(images(1))
    assert service.asked[0][0] == f"/predict?model=a+b&key={KEY}"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Authorization", f"Bearer {KEY}", "a key must not be in a plan"),
        ("X-API-Key", KEY, "a key must not be in a plan"),
        ("X-Model", "a1b2c3d4e5f6a7b8c9d0e1f2", "a key must not be in a plan"),
        ("X-Model", 3, "it must be a text, or the place of a key"),
        ("X-Model", {}, "it must be a text, or the place of a key"),
        ("X-Model", {"env": "A", "file": "b"}, "it must be a text, or the place"),
        ("X-Model", {"env": "A", "value": KEY}, "it must be a text, or the place"),
        ("X-Model", {"env": KEY}, "must be the place of a key, not the key"),
        ("X-Model", {"env": "a1b2c3d4e5f6a7b8c9d0e1f2"}, "must be the place of a key, not the key"),
        ("X-Model", {"env": "A", "prefix": f"Bearer {KEY}"}, "its prefix must be one word"),
        ("Content-Length", "3", "cannot be set"),
        ("a b", "3", "cannot be set"),
        ("a\r\nHost", "3", "cannot be set"),
    ],
)
def test_keys_in_the_plan_itself_are_refused_and_not_shown(name: str, value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Endpoint("http://127.0.0.1/", headers={name: value})
    assert KEY not in str(caught.value) and "a1b2c3" not in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"env": "PALPATE_TEST_NONE"}, "the environment variable PALPATE_TEST_NONE is not set"),
        ({"file": "none.txt"}, "the file none.txt cannot be read"),
        ({"file": "empty.txt"}, "the file empty.txt is empty"),
        ({"file": "two.txt"}, "characters that cannot be sent"),
        ({"file": "binary"}, "cannot be read as text"),
    ],
)
def test_a_key_that_is_not_there_is_said(service: Service, kept: Path, written: Any, said: str) -> None:
    (kept / "empty.txt").write_text("\n")
    (kept / "two.txt").write_text(f"{KEY}\r\nHost: other.example")
    (kept / "binary").write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match=said) as caught:
        model(service, kept, headers={"X": written})
    assert KEY not in str(caught.value)


def test_a_key_is_not_sent_in_the_clear_to_another_machine() -> None:
    told = {"Authorization": {"env": "A"}}
    with pytest.raises(InputError, match="Use https"):
        Endpoint("http://m.example/", "m.example", headers=told)
    assert Endpoint("https://m.example/", "m.example", headers=told).headers == told
    assert Endpoint("http://127.0.0.1/", headers=told).headers == told


def test_a_redirect_does_not_carry_the_key_on(service: Service, kept: Path) -> None:
    other = Service()
    service.says({}, 307, Location=other.url)
    with pytest.raises(InputError, match="a redirect"):
        model(service, kept, headers={"X": {"env": "PALPATE_TEST_KEY"}})(images(1))
    assert not other.asked
    other.server.shutdown()
    other.server.server_close()


@pytest.mark.parametrize("answer", [{KEY: 1}, {"error": KEY}, b"no json " + KEY.encode()])
def test_a_service_that_sends_the_key_back_does_not_reveal_it(service: Service, kept: Path, answer: Any) -> None:
    service.says(answer)
    with pytest.raises(InputError) as caught:
        model(service, kept, headers={"X": {"env": "PALPATE_TEST_KEY"}})(images(1))
    assert KEY not in str(caught.value)


def test_a_new_key_is_the_same_audit_and_another_model_is_not(tmp_path: Path) -> None:
    def digest(**settings: Any) -> str:
        return ModelSource(endpoint=Endpoint("http://127.0.0.1/", **settings)).digest(tmp_path)

    assert digest() == digest(headers={"X": {"env": "A"}}) == digest(headers={"X": {"file": "b"}})
    assert len({digest(), digest(query={"model": "a"}), digest(query={"model": "b"})}) == 3


@pytest.mark.parametrize(
    ("text", "is_key"),
    [
        ("predict", False),
        ("resnet50chestxraymodelversion2", False),
        ("chest-xray-classification-v2-2024", False),
        ("3f2b8c1e-1111-4222-8333-444455556666", False),
        ("9f86d081884c7d659a2feaa0c55ad015", True),
        ("sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2", True),
    ],
)
def test_what_looks_like_a_key(text: str, is_key: bool) -> None:
    assert looks_like_key(text) is is_key


def test_no_file_of_a_run_holds_the_key(
    service: Service, kept: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    service.answer = lambda body: (200, {}, f'{{"scores": {_scores(body)}}}'.encode())
    tiny.write(kept)
    (kept / "key.txt").unlink()
    begin, end = tiny.PLAN.index("[model]"), tiny.PLAN.index("[data]")
    section = (
        f'[model]\nbounds = [0, 255]\n[model.endpoint]\nurl = "{service.url}"\nper_second = 1000000\n'
        'headers = {Authorization = {env = "PALPATE_TEST_KEY", prefix = "Bearer "}}\n'
    )
    text = tiny.PLAN[:begin] + section + tiny.PLAN[end:]
    begin = text.index("[[attacks]]")
    text = (
        text[:begin]
        + '[[attacks]]\nattack = "noise"\n\n'
        + text[text.index("[run]") :].replace("[run]", '[run]\nat_chance = "allow"')
    )
    (kept / "plan.toml").write_text(text)
    with pytest.raises(SystemExit):
        cli.main(["audit", str(kept / "plan.toml")])
    assert service.asked and all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in service.asked)
    shown = capfd.readouterr()
    assert KEY not in shown.out + shown.err
    run = kept / "runs" / "plan"
    assert (run / "report.html").is_file(), shown.err
    for folder, _, names in os.walk(run):
        for name in names:
            assert KEY.encode() not in (Path(folder) / name).read_bytes(), name


def _scores(body: bytes) -> list[float]:
    mean = float(np.load(io.BytesIO(body)).mean()) / 255
    return torch.tensor([mean, 0.3, 1 - mean]).tolist()
