"""`[model]` of a plan: one source, and an endpoint that may be asked; each mistake with its line and its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from palpate.audit.plan.plan import parse_plan
from palpate.errors import PlanError
from palpate.models.endpoint import Endpoint
from palpate.models.source import ModelSource
from tests.audit import tiny

BEGIN, END = tiny.USUAL.index("[model]"), tiny.USUAL.index("[data]")


LATTICE = 'norm = "linf"', 'norm = "linf"\nlattice = true'


def model(fields: str, tail: str = "", old: str = "", new: str = ""):
    assert old in tiny.USUAL
    end = tiny.USUAL[END:].replace(old, new) if old else tiny.USUAL[END:]
    text = f"{tiny.USUAL[:BEGIN]}[model]\nbounds = [0, 255]\n{fields}\n{tail}\n{end}"
    return parse_plan(text, Path("folder/plan.toml")).model


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ('bundle = "b"', ModelSource(bundle="b")),
        ('huggingface = "h"', ModelSource(huggingface="h")),
        (
            'timm = "resnet18"\nweights = "w.pt"\narguments = {num_classes = 3}',
            ModelSource(timm="resnet18", weights="w.pt", arguments={"num_classes": 3}),
        ),
        (
            'onnx = "m.onnx"\noutput = "p"\nonnx_gradients = true\noutputs = "softmax"',
            ModelSource(onnx="m.onnx", output="p", onnx_gradients=True, outputs="softmax"),
        ),
    ],
)
def test_every_kind_of_model_can_be_named(fields: str, source: ModelSource) -> None:
    assert model(fields).source() == source


def test_an_endpoint_is_a_table_of_its_own() -> None:
    tail = (
        '[model.endpoint]\nurl = "https://m.example/p"\nquery = {key = {env = "K"}}\n'
        'own_to_test = "M.example"\nper_second = 3\nsend = "png"'
        "\n[survival]\nafter = []"
    )
    found = model("", tail, *LATTICE)
    assert found.source().endpoint == Endpoint(
        "https://m.example/p", "M.example", 3.0, send="png", query={"key": {"env": "K"}}
    )
    assert found.named == "https://m.example/p"


@pytest.mark.parametrize(
    ("fields", "tail", "said"),
    [
        ("", "", "line 5: model: nothing says where the model is. Give one of factory, torchscript, exported, bundle"),
        ('bundle = "b"\nonnx = "m.onnx"', "", "line 8: model.onnx: bundle is given already"),
        ('timm = "resnet18"', "", "line 7: model.timm: without weights the network is not trained"),
        ('bundle = "b"\nweights = "w.pt"', "", "line 8: model.weights: bundle brings its own weights"),
        ('huggingface = "h"\narguments = {a = 1}', "", "line 8: model.arguments: only a factory or a network of timm"),
        (
            'huggingface = "b"\noutput = "p"',
            "",
            "line 8: model.output: the logits of such a model are read auto",
        ),
        ('factory = "m.py:f"\nonnx_gradients = true', "", "line 8: model.onnx_gradients: it belongs to an ONNX file"),
        ('timm = "a"\nweights = "in factory"', "", 'line 8: model.weights: "in factory" is for a factory'),
        ('factory = "m.py:f"\noutput = 1.5', "", "line 8: model.output: 1.5 must be"),
        ('onnx = "m"\noutputs = "softmix"', "", 'model.outputs: "softmix" is not one of its values. Did you mean'),
        ("", '[model.endpoint]\nurl = "http://m.example/"', "line 9: model.endpoint.url: m.example is another machine"),
        (
            "",
            '[model.endpoint]\nurl = "http://m.example/"\nown_to_test = "example"',
            'model.endpoint.own_to_test: "example" is not the host of the URL, which is m.example',
        ),
        (
            "",
            '[model.endpoint]\nurl = "http://m.example/"\nown_to_test = true',
            "model.endpoint.own_to_test: true must be a text in quotes. For example",
        ),
        ("", '[model.endpoint]\nurl = "http://127.0.0.1/"\nbudget = 0', "model.endpoint.budget: 0 must be a finite"),
        ("", "[model.endpoint]\nbudget = 3", "model.endpoint.url: it is missing"),
        (
            "",
            '[model.endpoint]\nurl = "http://127.0.0.1/"\nheaders = {Authorization = "Bearer hunter2"}',
            "line 10: model.endpoint.headers: Authorization: a key must not be in a plan",
        ),
        (
            "",
            '[model.endpoint]\nurl = "http://127.0.0.1/"\nheaders = "hunter2"',
            "model.endpoint.headers: this value must",
        ),
        ("", '[model.endpoint]\nurl = "http://127.0.0.1/?key=hunter2"', "line 9: model.endpoint.url: it has a query"),
        ("", '[model.endpoint]\nurl = "ftp://127.0.0.1/"', "model.endpoint.url: it is not the URL of a web service"),
    ],
)
def test_each_mistake_has_its_line_and_its_fix(fields: str, tail: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        model(fields, tail)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_service_that_takes_pictures_is_not_handed_what_no_picture_holds() -> None:
    tail = '[model.endpoint]\nurl = "http://127.0.0.1:1/"\nsend = "png"\n[survival]\nafter = ["8bit", "blur1"]'
    with pytest.raises(PlanError, match=r"survival.after\[1\]: 'blur1' gives values between stored numbers, which png"):
        model("", tail, *LATTICE)
    assert model("", tail.replace(', "blur1"', ""), *LATTICE).endpoint is not None
    assert model("", tail.replace('"png"', '"npy"')).endpoint is not None
    usual = r"survival.after: the default has 'half' and 'blur1', which give .* after = \[\"8bit\", .*\"rewindow\"\] in"
    with pytest.raises(PlanError, match=usual):
        model("", tail[: tail.index("[survival]")], *LATTICE)


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("", "", "'noise'"),
        ('"noise"\ntries = 2', '"square"', ""),
        ('"noise"\ntries = 2', '"strongest"', ""),
        ('"noise"\ntries = 2', '"square"\n[[attacks]]\nattack = "hopskipjump"', "'hopskipjump'"),
        ('norm = "linf"', 'norm = "l2"', "'noise'"),
        (*LATTICE, ""),
    ],
)
def test_a_service_that_takes_pictures_needs_attacks_on_stored_numbers(old: str, new: str, refused: str) -> None:
    tail = '[model.endpoint]\nurl = "http://127.0.0.1:1/"\nsend = "png"\n[survival]\nafter = []'
    if not refused:
        assert model("", tail, old, new).endpoint is not None
        return
    said = f"threat.lattice: {refused} would try values between stored numbers, which png cannot hold. Write lattice ="
    with pytest.raises(PlanError, match=said):
        model("", tail, old, new)


def test_a_budget_between_stored_numbers_is_none_for_pictures() -> None:
    tail = '[model.endpoint]\nurl = "http://127.0.0.1:1/"\nsend = "png"\n[survival]\nafter = []'
    with pytest.raises(PlanError, match=r"threat\.lattice: 'noise' would try"):
        model("", tail, '"pgd"\nsteps = 3', '"square"')
    with pytest.raises(PlanError, match=r"threat\.lattice: 'square' and 'noise' would try"):
        model(
            "",
            tail,
            'eps = ["6/255", "16/255"]\n\n[[attacks]]\nattack = "pgd"\nsteps = 3',
            'eps = [0.5]\n\n[[attacks]]\nattack = "square"',
        )
