"""`[run]` of a plan: how the audit is carried out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from palpate.audit.plan.sections.base import Section

Order = Literal["rising", "bisect", "each", "minimum"]
"""In which order budgets are attacked."""


class RunSection(Section):
    """`[run]`: how the audit is carried out. Only `precision`, `curve` and `shard` decide which work can be reused."""

    batch: int = Field(default=32, ge=1)
    """Images attacked at once; by default not more than `shard`."""
    shard: int = Field(default=32, ge=1)
    """Images that are finished and stored together; at least as many as `batch`."""
    precision: Literal["float32", "mixed"] = "float32"
    """`mixed`: searches may use bfloat16; every verdict stays float32."""
    curve: Order | None = Field(default=None, examples=['curve = "rising"'])
    """`rising` attacks each image at rising budgets until it is beaten. `bisect` searches the smallest budget that
    beats each image: cheaper with many budgets, but an image is not attacked at budgets below the largest one that it
    withstood; records and report say where. `each` attacks every image at every budget and lets attacks run to their
    end, also after the image is beaten: Dice, HD95 and average precision under attack are then what the attack can
    reach. `minimum` runs attacks that search the smallest change once, at the largest budget: the change that an image
    needs says which budgets beat it. Other attacks refuse it; `curve` of one attack replaces it for that attack.
    Default: `each` for masks and boxes. For classes and findings, where a beaten image cannot get worse, `bisect` from
    three budgets on, and `rising` with fewer, for attacks of one step, and in a run folder that an older palpate
    began."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Memory layout of the search. `auto` times a step and takes the fastest arithmetic, once for each run folder.
    With a named layout nothing is timed, so that two run folders have the same bytes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; `auto` takes a GPU if there is one."""
    random_model: Literal["refuse", "allow"] = "refuse"
    """What to do with a model whose outputs differ from pass to pass. `allow` attacks and judges it in expectation:
    each output is the mean over `draws` draws. A service (`model.endpoint`) is asked once."""
    draws: int = Field(default=16, ge=2)
    """Draws over which the outputs of such a model are averaged. Other models are evaluated once."""
    timeout: float | None = Field(default=None, gt=0, examples=["timeout = 600"])
    """Seconds that one call of the model may take, for a whole batch; by default there is no limit. An attack whose
    call takes longer is marked as "could not run", and the others continue. Native code cannot be interrupted: after
    twice the time the command ends with status 3, and the next start takes the other attacks first. Services
    (`model.endpoint`) have a separate limit."""
    at_chance: Literal["refuse", "allow"] = "refuse"
    """What to do with a model that is not better than guessing on up to 64 clean images (up to 512 if 64 are not
    enough to decide): `refuse` stops before the first attack."""
    engine: Literal["local", "pool", "ray"] = "local"
    """Where the shards of attacks and artefacts are computed: in this process, in worker processes of this machine, or
    on a Ray cluster (`pip install "palpate[ray]"`). Records are the same; workers have one thread each."""
    workers: int | None = Field(default=None, ge=1, examples=["workers = 8"])
    """Workers of `pool` or `ray`, each with its own copy of the model; as many as processors, or as GPUs allow, by
    default. Never more than there are shards to do."""
    address: str | None = Field(default=None, examples=['address = "10.0.0.1:6379"'])
    """Address of a running Ray cluster, as `ray start --head` prints it; "auto" on one of its machines. By default
    Ray is started on this machine alone."""
    gpus: float = Field(default=0, ge=0, examples=["gpus = 0.5"])
    """GPUs of each worker of Ray; 0.5 lets two workers share one. Without GPUs its workers compute on the processor."""

    @model_validator(mode="before")
    @classmethod
    def _batch_follows_shard(cls, given: Any) -> Any:
        """A plan that names small shards alone need not name the batch too."""
        if (
            isinstance(given, dict)
            and "batch" not in given
            and isinstance(given.get("shard"), int)
            and not isinstance(given["shard"], bool)
        ):
            return {**given, "batch": max(1, min(32, given["shard"]))}
        return given
