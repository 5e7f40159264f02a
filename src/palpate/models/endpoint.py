"""A model behind HTTP: the user's own service, queried image by image, with a limited rate and number of queries."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlencode, urlsplit

import torch
from torch import Tensor

from palpate.errors import InputError, NotAskedError
from palpate.models.blackbox import BlackBox
from palpate.models.endpoint_wire import Asked, encoded, label_in, posted, scores_in
from palpate.models.secrets import hidden, looks_like_key, open_values, places, secrets, values

Send = Literal["npy", "png", "png16"]
_KEPT = '{env = "MY_KEY"}'


@dataclass(frozen=True)
class Endpoint:
    """An HTTP endpoint that takes one image per POST and answers with scores in JSON.

    Attributes:
        url: where it listens: `http://127.0.0.1:8000/predict`. This machine is always allowed.
        own_to_test: the host of `url`, if that is another machine: its owner names it here to confirm that they may
        test it. An audit sends it thousands of images that are made to fool it.
        per_second: most queries in a second.
        budget: most queries in one start of an audit. Every query counts, also those before attacks.
        timeout: seconds within which the answer must arrive.
        send: `npy`, a float32 array (C, *spatial) of the values; `png` and `png16`, grey or colour with 8 bits, or grey
            with 16, only for values that are whole numbers in that range.
        scores: where the scores are in the answer: names and places joined by dots, `predictions.0.scores`; empty
        if the answer is the scores.
        headers: header fields that are sent too, by name: a text, or the place of a key: `{env = "MY_KEY"}` or
            `{file = "key.txt"}`, with `prefix = "Bearer "` if the service needs one.
        query: the query after the URL, in the same form.
        labels: the classes that it answers with, if it gives one class and no scores; the score of the answer is then
            1, and those of the others are 0.

    Raises:
        InputError: the URL is not valid, contains a key, or names a host that is not confirmed as one's own; a number
            is out of its range; a header or a part of the query cannot be sent, or contains a key itself.
    """

    url: str
    own_to_test: str | None = None
    per_second: float = 10.0
    budget: int = 10_000
    timeout: float = 30.0
    send: Send = "npy"
    scores: str = "scores"
    headers: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, object] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = self.parts()
        if not is_loopback(parts.hostname or ""):
            self._require_own(parts.hostname or "")
        if self.labels and len(set(self.labels)) < max(2, len(self.labels)):
            raise InputError("model.endpoint.labels: give at least two classes, each once.")
        for name, least in (("per_second", 0.0), ("timeout", 0.0), ("budget", 0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > least):
                raise InputError(f"model.endpoint.{name}: {value:g} must be a finite number above 0.")
        if self.send not in ("npy", "png", "png16"):
            raise InputError(f'model.endpoint.send: "{self.send}" must be npy, png or png16.')
        kept = [*places("headers", self.headers).values(), *places("query", self.query).values()]
        if (
            parts.scheme == "http"
            and not is_loopback(parts.hostname or "")
            and any("text" not in dict(p) for p in kept)
        ):
            raise InputError("model.endpoint.url: http would send the key unencrypted. Use https.")

    def parts(self) -> SplitResult:
        """The parsed URL; raises InputError if it is not the URL of a web service."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            # The error quotes the URL, which may contain a key.
            raise InputError("model.endpoint.url: it is not a URL. Example: http://127.0.0.1:8000/predict.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not self.url.isascii():
            raise InputError(
                "model.endpoint.url: it is not the URL of a web service. Example: http://127.0.0.1:8000/predict."
            )
        if any(not character.isprintable() or character == " " for character in self.url):
            raise InputError("model.endpoint.url: it contains spaces or control characters. Remove them.")
        if parts.username is not None or parts.password is not None:
            raise InputError(
                "model.endpoint.url: it contains a name or password, which a run folder would keep. Remove it, and "
                f"write headers = {{Authorization = {_KEPT}}}."
            )
        if parts.query or parts.fragment or "?" in self.url or "#" in self.url:
            raise InputError(
                "model.endpoint.url: it has a query, and a run folder would keep a key there. Remove it, and write "
                f'query = {{model = "a"}}, or for a key query = {{key = {_KEPT}}}.'
            )
        if any(map(looks_like_key, parts.path.split("/"))):
            raise InputError(
                "model.endpoint.url: a part of its path looks like a key, which a run folder would keep. Remove it, "
                f"and let the service read it from headers = {{Authorization = {_KEPT}}}."
            )
        return parts

    def identity(self) -> list[str]:
        """What decides the answers; limits of rate and time do not."""
        texts = {**open_values("headers", self.headers), **open_values("query", self.query)}
        # A key decides who may ask, not what is answered.
        said = [self.url, self.send, self.scores, *(f"{name}: {text}" for name, text in sorted(texts.items()))]
        return [*said, *(f"label: {label}" for label in self.labels)]

    def _require_own(self, host: str) -> None:
        if self.own_to_test is None:
            raise InputError(
                f"model.endpoint.url: {host} is another machine, and an audit sends it thousands of images that are "
                f'made to fool it. If you may test it, write own_to_test = "{host}".'
            )
        if self.own_to_test.casefold().rstrip(".") != host.casefold().rstrip("."):
            raise InputError(
                f'model.endpoint.own_to_test: "{self.own_to_test}" is not the host of the URL, which is {host}. '
                "Name exactly the machine that you may test."
            )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone: `localhost`, 127.0.0.0/8 or ::1. Nothing is looked up."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class EndpointModel(BlackBox):
    """The endpoint as a module. It sends pixels, and nothing that identifies the patient.

    Args:
        endpoint: the endpoint.
        root: folder that paths of files with keys start from: the plan's.

    Attributes:
        spent: queries since it was made.

    Raises:
        InputError: a key is not where the plan says.
    """

    kind = "an endpoint"

    def __init__(self, endpoint: Endpoint, root: Path = Path()):
        super().__init__()
        self.endpoint = endpoint
        written = {"headers": endpoint.headers, "query": endpoint.query}
        self._headers, self._query = (values(field, entries, root) for field, entries in written.items())
        self._secrets = tuple(secret for field, entries in written.items() for secret in secrets(field, entries, root))
        self.spent = 0
        self._next = -math.inf
        self._shape: tuple[int, ...] | None = None

    def answer(self, images: Tensor) -> Tensor:
        """Scores (B, K), or (B, K, *spatial) for masks, one query per image.

        Raises:
            NotAskedError: the budget is spent.
            InputError: an image cannot be sent exactly; or the answer is late, an error, too long, or not finite scores
                of the shape of the first answer.
        """
        return torch.stack([self._one(image) for image in images.cpu()])

    def _one(self, image: Tensor) -> Tensor:
        endpoint = self.endpoint
        body, kind = encoded(image.float().numpy(), endpoint.send)
        if self.spent >= endpoint.budget:
            raise NotAskedError(
                f"model.endpoint.budget: all {endpoint.budget} queries of this start are spent. Finished shards are "
                "kept: start the same audit again to continue with as many more, or raise the budget and use --update."
            )
        self._wait()
        self.spent += 1
        try:
            asked = Asked(endpoint.parts(), {**self._headers, "Content-Type": kind}, urlencode(self._query), body)
            answer, place = posted(asked, endpoint.timeout), endpoint.scores
            found = label_in(answer, place, endpoint.labels) if endpoint.labels else scores_in(answer, place)
        except InputError as error:
            if (text := hidden(str(error), self._secrets)) != str(error):
                raise InputError(text) from None  # the answer of a service may repeat the query
            raise
        if self._shape is not None and found.shape != self._shape:
            raise InputError(
                f"model.endpoint: it answered with scores of shape {list(found.shape)}, and before of shape "
                f"{list(self._shape)}. Every answer must have the same."
            )
        self._shape = found.shape
        return torch.from_numpy(found)

    def _wait(self) -> None:
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self.endpoint.per_second
