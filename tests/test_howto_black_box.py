"""The service and the plan of the how-to on black boxes, run against each other on this machine."""

import re
import tomllib
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from palpate import catalog
from palpate.audit.demo.folder import write_demo
from palpate.audit.plan.plan import load_plan, parse_plan
from palpate.audit.run.runner import audit
from palpate.errors import InputError
from palpate.models.endpoint_wire import encoded
from palpate.postprocessing import parse
from palpate.storage.runs import RunFolder
from palpate.units import Scale

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "howto" / "black_box.md").read_text()
(SERVICE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PLAN, LABELS, OTHER = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def audited(tmp_path: Path, service: str, plan: str) -> RunFolder:
    """The run of a plan against a service, both as the page writes them but for the number of images and queries."""
    space: dict[str, Any] = {"__name__": "service"}
    exec(service, space)
    root = write_demo(tmp_path, "classification", 5).parent
    server = ThreadingHTTPServer(("127.0.0.1", 0), space["Service"])
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        text = plan
        for old, new in (
            (":8000/", f":{server.server_port}/"),
            ("limit = 10", "limit = 2"),
            ("queries = 300", "queries = 10"),
        ):
            assert old in text
            text = text.replace(old, new)
        (root / "service.toml").write_text(text)
        run = RunFolder(tmp_path / "run")
        assert audit(load_plan(root / "service.toml"), run.path).status == "finished"
    finally:
        server.shutdown()
        server.server_close()
    return run


def test_the_service_is_audited_by_the_plan(tmp_path: Path) -> None:
    frame = audited(tmp_path, SERVICE, PLAN).frame()
    assert set(frame["attack"]) == {"noise", "square"} and (frame["backwards"] == 0).all()
    assert frame["clean_right"].any() and (frame["linf"] == frame["linf"].round()).all()


def test_a_service_that_answers_with_a_class_is_audited(tmp_path: Path) -> None:
    scores = '{"scores": scores.tolist()}'
    grades = tomllib.loads(LABELS)["model"]["endpoint"]["labels"]
    assert scores in SERVICE and grades == tomllib.loads(PLAN)["task"]["classes"]
    service = SERVICE.replace(scores, f'{{"grade": {grades}[int(scores.argmax())]}}')
    lines = "\n".join(line for line in LABELS.splitlines() if line.startswith(("scores", "labels")))
    plan = re.sub(r'scores = "scores".*', lines, PLAN).replace('"square"', '"hopskipjump"')
    frame = audited(tmp_path, service, plan).frame()
    assert set(frame["attack"]) == {"noise", "hopskipjump"} and frame["clean_right"].any()
    assert frame["forwards"].sum() > 20 and (frame["linf"] == frame["linf"].round()).all()


def test_the_surrogate_is_one_that_a_plan_may_name() -> None:
    plan = PLAN.replace('"square"\nqueries = 300', '"transfer"') + OTHER
    assert parse_plan(plan, Path("plan.toml")).surrogate is not None


def test_the_attacks_are_those_without_a_gradient() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == sorted(
        name for name, entry in catalog.attacks().items() if not entry.gradient
    )


def test_what_does_not_round_stays_out_where_a_png_is_sent() -> None:
    image = torch.randint(0, 256, (1, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    scale = Scale((0.0, 255.0), known=True)
    for name in tomllib.loads(PLAN)["survival"]["after"]:
        encoded(parse(name, scale)(image)[0].numpy(), "png")
    (named,) = re.findall(r"`(\w+)` and `(\w+)`, which do not round", PAGE)
    for name in named:
        with pytest.raises(InputError, match="whole numbers from 0 to 255"):
            encoded(parse(name, scale)(image)[0].numpy(), "png")
