"""The boundary to the user's code: exceptions, switches of torch, and time."""

import os
import threading
import time
from pathlib import Path

import pytest
import torch

from palpate.errors import InputError, StorageError
from palpate.usercode import ModelError, UserCode, Watchdog, said


def test_anything_raised_becomes_one_sentence_and_keeps_its_cause() -> None:
    with pytest.raises(ModelError, match=r"model: it fails with ValueError: first\.$") as refused, UserCode():
        raise ValueError("first\nsecond")
    assert isinstance(refused.value.cause, ValueError) and refused.value.__cause__ is refused.value.cause


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("own"), StorageError("own")])
def test_an_interrupt_and_refusals_of_palpate_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, UserCode():
        raise error
    assert raised.value is error


def test_a_working_directory_that_is_gone_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with UserCode():
        pass


def test_the_text_of_an_exception_is_short() -> None:
    assert len(said(ValueError("x" * 9999))) < 400 and said(KeyError()) == "KeyError"


@pytest.mark.parametrize("swallow", [Exception, BaseException])
def test_python_that_takes_too_long_is_interrupted_even_where_it_catches_all(swallow: type[BaseException]) -> None:
    def stubborn() -> None:
        for last in (False, True):
            try:
                time.sleep(20)
            except swallow:
                if last:
                    raise

    begin = time.perf_counter()
    with pytest.raises(InputError, match=r"run\.timeout = 0\.05 seconds"), UserCode(Watchdog(0.05)):
        stubborn()
    assert time.perf_counter() - begin < 5


def test_what_is_in_time_is_left_alone() -> None:
    given_up = threading.Event()
    watchdog = Watchdog(0.1)
    watchdog.given_up = given_up.set
    for _ in range(3):
        with UserCode(watchdog):
            torch.ones(3).sum()
    time.sleep(0.3)
    assert not given_up.is_set()


def test_what_cannot_be_interrupted_is_given_up() -> None:
    given_up = threading.Event()
    watchdog = Watchdog(0.05)
    watchdog.given_up = given_up.set

    def hangs() -> None:  # not the main thread, so that no signal reaches it
        with UserCode(watchdog):
            given_up.wait(5)

    thread = threading.Thread(target=hangs)
    thread.start()
    thread.join()
    assert given_up.is_set()


def test_the_folder_is_put_back(tmp_path: Path) -> None:
    before = os.getcwd()
    with UserCode():
        os.chdir(tmp_path)
    assert os.getcwd() == before
