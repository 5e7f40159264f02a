"""An endpoint as a model: who may be asked, what is sent, how often, and what becomes of bad answers."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.attacks.black_box.hopskipjump import HopSkipJump
from palpate.attacks.square import Square
from palpate.errors import InputError, NotAskedError
from palpate.models import endpoint as module
from palpate.models import endpoint_wire
from palpate.models.blackbox import FromProbabilities
from palpate.models.endpoint import Endpoint, EndpointModel
from palpate.models.loading import ModelSource, load_model
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

Answer = Callable[[bytes], tuple[int, dict[str, str], bytes]]


class Service:
    """A server on this machine; it keeps what it was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Answer = self.scores
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.asked.append((self.path, dict(self.headers), body))
                status, headers, text = service.answer(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/predict"

    @staticmethod
    def scores(body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The mean over the image, and minus that."""
        mean = float(np.load(io.BytesIO(body)).mean()) - 100
        return 200, {}, json.dumps({"scores": [mean, -mean]}).encode()

    def says(self, value: Any, status: int = 200, **headers: str) -> None:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.answer = lambda _: (status, headers, text)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def model(service: Service, **settings: Any) -> EndpointModel:
    return EndpointModel(Endpoint(service.url, **{"per_second": 1e6, **settings}))


def images(count: int = 3, channels: int = 1, high: int = 256) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, high, (count, channels, 6, 5), generator=generator).float()


# -- who may be asked ----------------------------------------------------------------------------------------------


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a machine was asked")

    for name in ("socket.socket.connect", "socket.getaddrinfo", "socket.create_connection"):
        monkeypatch.setattr(name, refuse)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    "host", ["models.example", "192.168.0.7", "10.0.0.1", "0.0.0.0", "127.0.0.1.example", "localhost.example", "[::2]"]
)
def test_another_machine_is_asked_only_where_its_owner_names_it(host: str) -> None:
    url = f"http://{host}:8000/predict"
    with pytest.raises(InputError, match=r"is another machine.* write own_to_test = "):
        Endpoint(url)
    for other in ("other.example", "", "example", "*"):
        with pytest.raises(InputError, match="is not the host of the URL"):
            Endpoint(url, own_to_test=other)
    assert Endpoint(url, own_to_test=host.strip("[]").upper()).url == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine_may_be_asked(host: str) -> None:
    assert Endpoint(f"https://{host}:8000/predict").own_to_test is None


def test_localhost_that_stands_for_another_machine_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(InputError, match="has addresses of other machines"):
        EndpointModel(Endpoint("http://localhost:9/predict"))(images(1))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("predict", "not the URL of a web service"),
        ("file:///etc/passwd", "not the URL of a web service"),
        ("ftp://127.0.0.1/a", "not the URL of a web service"),
        ("http://127.0.0.1:port/", "is not a URL"),
        ("http://127.0.0.1:99999/", "is not a URL"),
        ("http://me:secret@127.0.0.1/", "a name or password"),
        ("http://127.0.0.1/p?model=a", "it has a query.* query = {model = "),
        ("http://127.0.0.1/p?", "it has a query"),
        ("http://127.0.0.1/p#key=a", "it has a query"),
        ("http://127.0.0.1/hooks/T0a1b2c3d4e5f6g7h8i9J", "a part of its path looks like a key"),
        ("http://me:sec/ret@127.0.0.1/", "is not a URL"),
        ("http://127.0.0.1/a b", "spaces or control characters"),
        ("http://127.0.0.1\\@models.example/", "another machine|not a URL|password"),
    ],
)
def test_what_is_no_url_is_refused(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Endpoint(url)
    assert "secret" not in str(caught.value) and "sec/ret" not in str(caught.value)
    assert "T0a1b2" not in str(caught.value)


@pytest.mark.parametrize("name", ["per_second", "timeout", "budget"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_that_are_none_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"model\.endpoint\.{name}"):
        Endpoint("http://127.0.0.1/", **{name: value})


# -- what is sent --------------------------------------------------------------------------------------------------


def test_one_query_per_image_with_its_exact_values_and_nothing_else(service: Service) -> None:
    asked = images(3) + 0.123
    found = load_model(ModelSource(endpoint=Endpoint(service.url, per_second=1e6)), None)(asked)  # type: ignore[arg-type]
    mean = asked.flatten(1).mean(1) - 100
    assert torch.allclose(found, torch.stack([mean, -mean], 1), atol=1e-4)
    assert len(service.asked) == 3
    for image, (path, headers, body) in zip(asked, service.asked, strict=True):
        assert path == "/predict"
        assert set(headers) <= {"Host", "Accept-Encoding", "Content-Length", "Content-Type", "Accept", "User-Agent",
                                "Connection"}  # fmt: skip
        sent = np.load(io.BytesIO(body), allow_pickle=False)
        assert sent.dtype == np.float32 and np.array_equal(sent, image.numpy())


@pytest.mark.parametrize(("send", "channels", "high", "mode"), [
    ("png", 1, 256, "L"), ("png", 3, 256, "RGB"), ("png16", 1, 65536, "I;16"),
])  # fmt: skip
def test_a_png_holds_every_stored_bit(service: Service, send: str, channels: int, high: int, mode: str) -> None:
    service.says({"scores": [0.0, 1.0]})
    asked = images(2, channels, high)
    asked[0, 0, 0, 0], asked[0, 0, 0, 1] = 0, high - 1
    model(service, send=send)(asked)
    for image, (_, headers, body) in zip(asked, service.asked, strict=True):
        assert headers["Content-Type"] == "image/png"
        read = Image.open(io.BytesIO(body))
        assert read.mode == mode and not read.info
        pixels = np.asarray(read)
        assert np.array_equal(pixels[None] if channels == 1 else np.moveaxis(pixels, 2, 0), image.numpy())


@pytest.mark.parametrize(
    ("send", "image", "said"),
    [
        ("png", images(1) + 0.5, "whole numbers from 0 to 255.*threat.lattice"),
        ("png", images(1) - 300, "whole numbers"),
        ("png", images(1, high=4000), "whole numbers from 0 to 255"),
        ("png16", images(1) + 65535, "whole numbers from 0 to 65535"),
        ("png", images(1, 2), "grey or colour images"),
        ("png16", images(1, 3), "takes grey images"),
        ("png", torch.zeros(1, 1, 4, 4, 4), "grey or colour"),
    ],
)
def test_what_a_png_cannot_hold_is_refused_unasked(service: Service, send: str, image: torch.Tensor, said: str) -> None:
    asked = model(service, send=send)
    with pytest.raises(InputError, match=said):
        asked(image)
    assert asked.spent == 0 and not service.asked


# -- how often -----------------------------------------------------------------------------------------------------


def test_the_budget_is_kept_and_says_what_was_spent(service: Service) -> None:
    asked = model(service, budget=5)
    asked(images(3))
    with pytest.raises(NotAskedError, match=r"all 5 queries of this start are spent.*Finished shards are kept"):
        asked(images(3))
    with pytest.raises(NotAskedError, match="are spent"):
        asked(images(1))
    assert asked.spent == len(service.asked) == 5


def test_no_query_is_spent_where_a_gradient_is_wanted(service: Service) -> None:
    asked = model(service)
    with pytest.raises(InputError, match="an endpoint, which gives no gradient"):
        asked(images(1).requires_grad_())
    assert not service.asked


def test_the_rate_is_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [50.0]
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.time, "sleep", sleep)
    asked = model(service, per_second=4)
    asked(images(3))
    assert naps == pytest.approx([0.25, 0.25])
    clock[0] += 10  # a pause saves nothing up
    asked(images(2))
    assert naps[2:] == pytest.approx([0.25])


def test_square_spends_what_it_says_and_beats_the_service(service: Service) -> None:
    asked = model(service)
    given = torch.full((2, 1, 6, 5), 101.0)
    labels = torch.zeros(2, dtype=torch.int64)
    result = Square(Linf(4.0), queries=30)(Victim(asked, (0, 255)), Classification(2), given, labels)
    assert result.success.all()
    assert asked.spent == int(result.forwards.sum()) == len(service.asked)


def test_a_walk_along_the_boundary_beats_a_service_that_answers_with_a_class(service: Service) -> None:
    scores = service.answer

    def label(body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, headers, text = scores(body)
        found = json.loads(text)["scores"]
        return status, headers, json.dumps({"class": ["a", "b"][found.index(max(found))]}).encode()

    service.answer = label
    asked = model(service, scores="class", labels=("a", "b"))
    given = torch.full((2, 1, 6, 5), 101.0)
    victim = Victim(asked, (0, 255))
    with victim:
        labels = victim.judge(given).argmax(1)
    result = HopSkipJump(Linf(8.0), queries=80)(victim, Classification(2), given, labels)
    assert result.success.all()
    assert asked.spent == 2 + int(result.forwards.sum()) == len(service.asked)


# -- what comes back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "value", "scores"),
    [
        ("scores", {"scores": [1, 2.5]}, [1, 2.5]),
        ("predictions.0.p", {"predictions": [{"p": [3, 4]}]}, [3, 4]),
        ("", [5, 6, 7], [5, 6, 7]),
        ("p", {"p": 0.25}, [0.25]),
        ("mask", {"mask": [[[1, 2]], [[3, 4]]]}, [[[1, 2]], [[3, 4]]]),
    ],
)
def test_scores_are_found_where_the_plan_says(service: Service, where: str, value: Any, scores: Any) -> None:
    service.says(value)
    assert model(service, scores=where)(images(1))[0].tolist() == scores


@pytest.mark.parametrize(("value", "scores"), [("mild", [0.0, 1.0]), ("none", [1.0, 0.0]), ("bad", None), ([1], None)])
def test_a_class_is_one_and_the_others_are_zero(service: Service, value: Any, scores: list[float] | None) -> None:
    service.says({"class": value})
    asked = model(service, scores="class", labels=("none", "mild"))
    if scores is None:
        with pytest.raises(InputError, match="which is not one of none, mild"):
            asked(images(1))
    else:
        assert asked(images(1))[0].tolist() == scores
    assert asked.endpoint.identity() != model(service, scores="class").endpoint.identity()


def test_one_label_is_refused(service: Service) -> None:
    with pytest.raises(InputError, match="at least two classes, each once"):
        model(service, labels=("none", "none"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"<html>who are you</html>", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ({"score": [1]}, 'nothing at "scores". It has score'),
        ([1, 2], 'nothing at "scores"'),
        ({"scores": "high"}, "not a list of numbers"),
        ({"scores": []}, "not a list of numbers"),
        ({"scores": [True, False]}, "not a list of numbers"),
        ({"scores": [1, [2, 3]]}, "not a list of numbers"),
        ({"scores": [10**400, 1]}, "not a list of numbers"),
        (b'{"scores": [NaN, 1]}', "NaN or infinite"),
        ({"scores": [1e300, 1]}, "NaN or infinite"),
    ],
)
def test_answers_that_hold_no_scores_are_refused(service: Service, value: Any, said: str) -> None:
    service.says(value)
    with pytest.raises(InputError, match=said):
        model(service)(images(1))


def test_every_answer_has_as_many_scores_as_the_first(service: Service) -> None:
    counts = iter((2, 3))
    service.answer = lambda _: (200, {}, json.dumps({"scores": [0.0] * next(counts)}).encode())
    with pytest.raises(InputError, match=r"shape \[3\], and before of shape \[2\]"):
        model(service)(images(2))


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_errors_of_the_service_are_said(service: Service, status: int) -> None:
    service.says({"patient": "DOE^JANE"}, status)
    with pytest.raises(InputError, match=rf"answered {status} \(") as caught:
        model(service)(images(1))
    assert "JANE" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(service: Service, status: int) -> None:
    service.says({}, status, Location="http://127.0.0.1:1/elsewhere")
    with pytest.raises(InputError, match="a redirect"):
        model(service)(images(1))
    assert len(service.asked) == 1


def test_proxies_of_the_environment_are_not_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert model(service)(images(1)).shape == (1, 2)


def test_an_answer_without_end_is_cut(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_wire, "LONGEST", 1000)
    service.says(b" " * 5000)
    with pytest.raises(InputError, match="more than 1000 bytes"):
        model(service)(images(1))


def test_silence_is_not_waited_for(service: Service) -> None:
    woken = threading.Event()
    service.answer = lambda _: (200 + woken.wait(20), {}, b"{}")
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"did not answer within 0\.3 seconds"):
        model(service, timeout=0.3)(images(1))
    assert time.monotonic() - begin < 10
    woken.set()


def test_a_dripping_answer_is_not_waited_for(service: Service) -> None:
    """Each byte comes before a read would time out; the whole answer would take half a minute."""
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        held, _ = listener.accept()
        try:
            held.recv(65536)
            held.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(600):
                held.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            pass
        held.close()

    threading.Thread(target=drip, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    begin = time.monotonic()
    with pytest.raises(InputError, match=r"did not answer within 0\.3 seconds"):
        EndpointModel(Endpoint(url, timeout=0.3))(images(1))
    assert time.monotonic() - begin < 10
    listener.close()


def test_nobody_listening_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"does not answer .* Is the service running"):
        EndpointModel(Endpoint(f"http://127.0.0.1:{port}/"))(images(1))


def test_a_certificate_that_nobody_vouches_for_is_refused(service: Service) -> None:
    asked = EndpointModel(Endpoint(service.url.replace("http:", "https:"), timeout=5))
    with pytest.raises(InputError, match="certificate or encryption is not accepted"):
        asked(images(1))


def test_probabilities_of_a_service_are_read_as_logits(service: Service) -> None:
    service.says({"scores": [0.25, 0.75, 0.0]})
    found = FromProbabilities(model(service), "softmax")(images(1))
    assert found[0, :2].tolist() == pytest.approx(np.log([0.25, 0.75]).tolist())
    assert torch.isfinite(found).all()


# -- identity ------------------------------------------------------------------------------------------------------


def test_the_digest_knows_what_is_asked_and_not_how_often(service: Service, tmp_path) -> None:
    def digest(**settings: Any) -> str:
        return ModelSource(endpoint=Endpoint(service.url, **settings)).digest(tmp_path)

    assert digest() == digest(per_second=1.0, budget=3, timeout=9.0)
    assert len({digest(), digest(send="png"), digest(scores="p")}) == 3
