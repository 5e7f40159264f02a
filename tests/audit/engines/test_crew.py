"""Who gets which job, with workers that only pretend: nothing is lost, nothing is done twice, nobody starts idle."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from palpate.audit.engines.contracts import Gone, Job, Outcome, Pause, Ready, Refused
from palpate.audit.engines.crew import Hand, Message, conduct
from palpate.audit.engines.queue import Queue
from palpate.data.table import Table
from palpate.errors import InputError


@dataclass
class Pretending:
    """Workers that answer at once; some die with a job, some never get ready.

    Attributes:
        deaths: how many workers end when they are given a job.
        late: how many workers never say that they are ready.
        refusal: what a worker says when it starts.
    """

    deaths: int = 0
    late: int = 0
    refusal: Refused | None = None
    started: int = 0
    stopped: list[int] = field(default_factory=list)
    given: Counter[str] = field(default_factory=Counter)

    def start(self) -> Hand:
        self.started += 1
        return Hand(self.started, None if self.started <= self.late else self.refusal or Ready())

    def give(self, hand: Hand, job: Job) -> None:
        self.given[job.shard] += 1
        self.deaths -= 1
        hand.pipe = Gone("killed by SIGKILL") if self.deaths >= 0 else Outcome(job)

    def listen(self, hands: list[Hand]) -> Iterable[tuple[Hand, Message]]:
        heard = [(hand, hand.pipe) for hand in hands if hand.pipe is not None]
        assert heard, "nobody will ever say anything"
        for hand, _ in heard:
            hand.pipe = None
        return heard

    def stop(self, hand: Hand) -> None:
        self.stopped.append(hand.process)


def _run(crew: Pretending, jobs: int, most: int) -> list[Outcome]:
    made = (Job(str(number), "item", (number,), f"pgd, image {number}") for number in range(jobs))
    return list(conduct(crew, Queue(made, Table((), (), None)), most))  # type: ignore[arg-type]


@pytest.mark.parametrize(("jobs", "most", "started"), [(2, 8, 2), (9, 2, 2), (1, 1, 1), (0, 4, 0)])
def test_no_worker_starts_without_a_job(jobs: int, most: int, started: int) -> None:
    crew = Pretending()
    assert sorted(outcome.job.shard for outcome in _run(crew, jobs, most)) == [str(number) for number in range(jobs)]
    assert crew.started == started and sorted(crew.stopped) == list(range(1, started + 1))
    assert set(crew.given.values()) <= {1}


def test_the_job_of_a_lost_worker_goes_to_another_one() -> None:
    crew = Pretending(deaths=2)
    outcomes = _run(crew, 5, 2)
    assert sorted(outcome.job.shard for outcome in outcomes) == ["0", "1", "2", "3", "4"]
    assert not any(outcome.failed for outcome in outcomes)
    assert sorted(crew.given.values()) == [1, 1, 1, 2, 2] and crew.started == 4


def test_a_job_that_ends_three_workers_fails_once() -> None:
    crew = Pretending(deaths=3)
    outcomes = _run(crew, 3, 1)
    assert [bool(outcome.failed) for outcome in outcomes] == [True, False, False]
    assert crew.given == {"0": 3, "1": 1, "2": 1}


def test_a_worker_that_waits_for_a_machine_keeps_no_job() -> None:
    crew = Pretending(late=1)
    assert len(_run(crew, 4, 2)) == 4
    assert sorted(crew.stopped) == [1, 2], "the one that never came is stopped too"


def test_a_refusal_stops_everything() -> None:
    crew = Pretending(refusal=Refused("The worker on b has other versions."))
    with pytest.raises(InputError, match="other versions"):
        _run(crew, 4, 2)
    assert sorted(crew.stopped) == [1, 2]


@pytest.mark.parametrize("deaths", [0, 2])
@pytest.mark.parametrize("most", [1, 3, 8])
def test_no_job_overtakes_a_pause(most: int, deaths: int) -> None:
    seen: list[str] = []

    def jobs() -> Iterator[Job | Pause]:
        yield from (Job(f"a{number}", "item", (number,), "") for number in range(5))
        yield Pause()
        assert len(seen) == 5, "made when all outcomes before it were used"
        yield from (Job(f"b{number}", "item", (number,), "") for number in range(2))
        yield Pause()

    crew = Pretending(deaths=deaths)
    for outcome in conduct(crew, Queue(jobs(), Table((), (), None)), most):  # type: ignore[arg-type]
        seen.append(outcome.job.shard)
    assert sorted(seen) == ["a0", "a1", "a2", "a3", "a4", "b0", "b1"]
    assert crew.started <= most + deaths, "no worker is started anew after a pause"
