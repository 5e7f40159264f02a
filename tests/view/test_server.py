"""The server answers nobody but the reader's own browser."""

import http.client
import threading

import pytest

from palpate.errors import InputError
from palpate.view.opened import opened
from palpate.view.server import HOST, Server
from palpate.view.site import Site


@pytest.fixture(scope="module")
def server(masks):
    with Server(Site(opened(masks))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join(5)


def ask(server, path, *, method="GET", host=None):
    """Status, headers and body of a raw request; nothing in the path is resolved before it is sent."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host != "":
        connection.putheader("Host", host or f"{HOST}:{server.port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_is_given_with_a_policy_and_stays_out_of_caches(server):
    status, headers, body = ask(server, f"/{server.token}/")
    assert status == 200 and body.startswith(b"<!doctype html>")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Server"].strip() == "palpate"
    assert ask(server, f"/{server.token}/pictures/clean-0-0.png")[1]["Content-Type"] == "image/png"
    assert ask(server, f"/{server.token}/data/run.js", method="HEAD")[2] == b""


@pytest.mark.parametrize("path", ["/", "/data/run.js", "/wrong/", "/{short}/", "/{token}", "/{token}x/"])
def test_without_the_word_everything_is_refused(server, path):
    path = path.format(token=server.token, short=server.token[:-1])
    status, _, body = ask(server, path)
    assert status == 403 and b"palpate" not in body


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"])
def test_another_host_in_the_request_is_refused(server, host):
    assert ask(server, f"/{server.token}/", host=host.format(port=server.port))[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server, method):
    assert ask(server, f"/{server.token}/", method=method)[0] == 403


@pytest.mark.parametrize(
    "name",
    ["../run.json", "..%2frun.json", "%2e%2e/run.json", "data/../../plan.toml", "/etc/passwd", "server.py", "\\..\\x"],
)
def test_no_path_leads_out(server, name):
    assert ask(server, f"/{server.token}/{name}")[0] == 404


def test_only_this_machine_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1" and len(server.token) >= 32
    with pytest.raises(InputError, match="--port"):
        Server(server.site, server.port)
