"""The messages to and from an endpoint: pixels out, JSON of limited size in, no redirects, no proxies."""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult

import numpy as np
import numpy.typing as npt
from PIL import Image

from palpate.errors import InputError

LONGEST = 64 * 1024 * 1024
"""Most bytes of an answer that are read."""

_WHOLE = 1e-3
"""Values this near to a whole number are that number: float32 of rescaled values is not exact."""


def encoded(image: npt.NDArray[np.float32], send: str) -> tuple[bytes, str]:
    """Body and content type for an image (C, *spatial). It contains no name, path or identifier.

    Raises:
        InputError: a PNG cannot store the values exactly.
    """
    buffer = io.BytesIO()
    if send == "npy":
        np.save(buffer, np.ascontiguousarray(image, dtype="<f4"), allow_pickle=False)
        return buffer.getvalue(), "application/x-npy"
    wide = send == "png16"
    colours = (1,) if wide else (1, 3)
    if image.ndim != 3 or image.shape[0] not in colours:
        wanted = "grey images (1, height, width)" if wide else "grey or colour images (1 or 3, height, width)"
        raise InputError(f'model.endpoint.send: {send} takes {wanted}, not {list(image.shape)}. Use send = "npy".')
    stored, highest = np.rint(image), 65535 if wide else 255
    if not bool((np.abs(image - stored) <= _WHOLE).all()) or stored.min() < 0 or stored.max() > highest:
        raise InputError(
            f"model.endpoint.send: {send} takes whole numbers from 0 to {highest}, and an image has other values. "
            'Write threat.lattice = true if files store whole numbers, leave out model.preprocess, or use send = "npy".'
        )
    pixels = stored.astype(np.uint16 if wide else np.uint8)
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)).save(buffer, "PNG")
    return buffer.getvalue(), "image/png"


@dataclass(frozen=True)
class Asked:
    """One query to an endpoint.

    Attributes:
        parts: its parsed URL.
        headers: header fields, including the content type.
        query: the encoded query after the path; it may contain a key.
        body: the image.
    """

    parts: SplitResult
    headers: Mapping[str, str] = field(repr=False)
    query: str = field(repr=False)
    body: bytes = field(repr=False)


def posted(asked: Asked, timeout: float) -> Any:
    """The JSON that the endpoint answers to one POST. No redirect is followed and no proxy used.

    Raises:
        InputError: it does not listen, is late, or answers with an error, with too many bytes, or not with JSON.
    """
    parts = asked.parts
    place = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    connection = _connection(parts, timeout)
    # A server that sends its answer in small pieces would never time out at a single read.
    watch = threading.Timer(timeout, _hang_up, (connection,))
    watch.daemon = True
    begin = time.monotonic()
    try:
        watch.start()
        headers = {"Accept": "application/json", "User-Agent": "palpate", **asked.headers, "Connection": "close"}
        path = parts.path or "/"
        connection.request("POST", f"{path}?{asked.query}" if asked.query else path, asked.body, headers)
        answer = connection.getresponse()
        status, text = answer.status, answer.read(LONGEST + 1)
        cut = time.monotonic() - begin >= timeout
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError) or time.monotonic() - begin >= timeout:
            raise _late(place, timeout) from error
        if isinstance(error, ssl.SSLError):
            raise InputError(
                f"model.endpoint: {place}: its certificate or encryption is not accepted ({error})."
            ) from error
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"model.endpoint: {place} does not answer ({what}). Is the service running?") from error
    finally:
        watch.cancel()
        connection.close()
    if cut:
        raise _late(place, timeout)
    _require_good(place, status, text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"model.endpoint: {place} answered with something that is not JSON. Correct the URL."
        ) from error


def scores_in(answer: Any, where: str) -> npt.NDArray[np.float32]:
    """The scores in an answer, (K,) or (K, *spatial).

    Raises:
        InputError: they are not where they should be, or are not a regular list of finite numbers.
    """
    held = _held(answer, where)
    try:
        found = np.asarray(held)
    except ValueError:
        found = np.asarray(None)
    if found.dtype.kind not in "if" or found.size == 0:
        raise InputError(f'model.endpoint.scores: what the answer has at "{where}" is not a list of numbers.')
    with np.errstate(over="ignore"):
        scores = np.atleast_1d(found).astype(np.float32)
    if not bool(np.isfinite(scores).all()):
        raise InputError("model.endpoint: a score of its answer is NaN or infinite.")
    return scores


def label_in(answer: Any, where: str, labels: Sequence[str]) -> npt.NDArray[np.float32]:
    """Scores (K,) for an answer that is one class: 1 for this class, and 0 for the others.

    Raises:
        InputError: the class is not where it should be, or is not one of the labels.
    """
    held = _held(answer, where)
    if isinstance(held, (dict, list)) or str(held) not in labels:
        said = type(held).__name__ if isinstance(held, (dict, list)) else f'"{str(held)[:60]}"'
        raise InputError(
            f'model.endpoint.labels: the answer has {said} at "{where}", which is not one of {", ".join(labels)}. '
            "List every class that it answers with."
        )
    return np.asarray([label == str(held) for label in labels], dtype=np.float32)


def _held(answer: Any, where: str) -> Any:
    """What an answer has at a path."""
    held = answer
    for name in where.split(".") if where else ():
        if isinstance(held, dict) and name in held:
            held = held[name]
        elif isinstance(held, list) and name.isdigit() and int(name) < len(held):
            held = held[int(name)]
        else:
            has = f"It has {', '.join(map(str, list(held)[:5]))}." if isinstance(held, dict) else "Check its answer."
            raise InputError(f'model.endpoint.scores: the answer has nothing at "{where}". {has}')
    return held


def _connection(parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
    host = str(parts.hostname)
    if host.casefold() == "localhost":
        host = _this_machine(host, parts.port)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout)


def _this_machine(name: str, port: int | None) -> str:
    """The name, if all its addresses are this machine: the file of hosts can name others."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, port or 80, type=socket.SOCK_STREAM)}
    except OSError:
        found = set()
    if not found or not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found):
        raise InputError(f"model.endpoint.url: {name} has addresses of other machines here. Write 127.0.0.1.")
    return name


def _hang_up(connection: http.client.HTTPConnection) -> None:
    held = connection.sock
    if held is not None:
        try:
            held.shutdown(socket.SHUT_RDWR)
        except OSError:
            held.close()


def _late(place: str, timeout: float) -> InputError:
    return InputError(
        f"model.endpoint: {place} did not answer within {timeout:g} seconds. Raise model.endpoint.timeout, or check "
        "the service."
    )


def _require_good(place: str, status: int, text: bytes) -> None:
    if 300 <= status < 400:
        raise InputError(
            f"model.endpoint: {place} answered with a redirect ({status}), and palpate does not follow redirects. "
            "Correct the URL."
        )
    if status != 200:
        reason = http.client.responses.get(status, "unknown")
        raise InputError(f"model.endpoint: {place} answered {status} ({reason}). Read the service's log.")
    if len(text) > LONGEST:
        raise InputError(
            f"model.endpoint: {place} answered with more than {LONGEST} bytes. It should send only scores."
        )
