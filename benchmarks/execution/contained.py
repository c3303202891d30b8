"""Processes in which somebody else's code runs: how long it may take, and what becomes of what it starts."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process, resource_tracker
from typing import TypeVar

import psutil
from pebble.concurrent import process

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

LATE = 124
"""Exit status of a process that took too long, as of timeout(1)."""

GRACE = 60.0
"""Seconds after which it is stopped from outside: code that never lets go of the interpreter keeps it from leaving."""

T = TypeVar("T")


def run_in_subprocess(work: Callable[..., T], *given: object, seconds: float) -> "Future[T]":
    """Do some work in a process of its own, which is stopped after so many seconds.

    Args:
        work: a function of a module.
        given: its arguments.
        seconds: that it may take.

    Returns:
        The future answer; it raises what the work raises, and where :func:`took_too_long` does not hold of that,
        :class:`pebble.ProcessExpired` if the process ended before it had an answer.
    """
    spawn = get_context("spawn")
    begin = process(  # type: ignore[call-overload] # as documented
        context=spawn,
        daemon=False,  # which may start processes of its own
        timeout=seconds + GRACE,
    )(_contained)
    answer: Future[T] = begin(seconds, work, *given)
    return answer


def took_too_long(error: BaseException | None) -> bool:
    """Whether this is how work ends that is stopped."""
    stopped = isinstance(error, TimeoutError) and error.args[:1] == ("Task Timeout",)  # not one that the work raised
    return stopped or getattr(error, "exitcode", None) == LATE


def _contained(seconds: float, work: Callable[..., T], *given: object) -> T:
    die_with_parent()
    mute()
    withhold_open_files()
    with no_longer_than(seconds):
        return work(*given)


def mute() -> None:
    """What this process prints goes where errors go: the standard output is the run's own."""
    sys.stdout.flush()
    os.dup2(2, 1)


def withhold_open_files() -> None:
    """What is started from here inherits no open file: while it has one, the end of this process goes unseen."""
    for descriptor in map(int, os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ()):
        with suppress(OSError):  # that of the listing itself
            os.set_inheritable(descriptor, descriptor <= 2)


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Leave this process if it takes longer; what was started meanwhile ends in any case."""
    with children_end():
        late = threading.Timer(seconds, _leave)
        late.daemon = True
        late.start()
        try:
            yield
        finally:
            late.cancel()


def _leave() -> None:
    _kill(psutil.Process().children(recursive=True))
    os._exit(LATE)


@contextmanager
def children_end() -> Iterator[None]:
    """Kill all processes that are started meanwhile, and theirs, however they ended."""
    adopt_orphans()
    resource_tracker.ensure_running()  # of multiprocessing, for as long as this process runs
    before = psutil.Process().children(recursive=True)
    try:
        yield
    finally:
        _kill([child for child in psutil.Process().children(recursive=True) if child not in before])


def adopt_orphans() -> None:
    """On Linux, processes whose own parents are gone become children of this one: so they are found."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _kill(processes: list[psutil.Process]) -> None:
    """Kill them, and have the system forget those that were adopted; multiprocessing looks after its own."""
    own = {child.pid for child in active_children()}
    for found in processes:
        with suppress(psutil.NoSuchProcess):
            found.kill()
    psutil.wait_procs([found for found in processes if found.pid not in own], timeout=1)


def die_with_parent() -> None:
    """Have Linux kill this process when its parent is killed, so that no orphan goes on computing."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is not None and not parent.is_alive():  # it was killed before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)
