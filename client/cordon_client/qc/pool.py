"""Do many pieces of work: here, in a pool of processes, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import socket
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cordon_client.qc.modalities import modality_named
from cordon_client.qc.work import Work, carry_out
from cordon_common.errors import SystemFault, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.queues import Queue

    from cordon_client.qc.modality import SampleFiles, SampleQc
    from cordon_common.qc.profile import Profile

    Found = tuple[SampleQc, ...]

_REPORT_EVERY_S = 0.2
_KNOCK_TIMEOUT_S = 5.0


class Watch(Protocol):
    """Told how the work goes, from one thread at a time. `index`: which piece of work."""

    def reading(self, index: int, done: int, total: int) -> None:
        """Show how far a piece is, in bytes."""
        ...

    def finished(self, index: int) -> None:
        """Show that a piece is done."""
        ...


@dataclass(frozen=True)
class Where:
    """Where the work is done. jobs: processes on this machine; ray: a cluster's address."""

    jobs: int = 1
    ray: str | None = None


def carry_out_all(works: Sequence[Work], where: Where, watch: Watch) -> list[Found]:
    """Return the results in the order of the work, whatever finished first.

    Raises:
        UsageError: US051 when Ray is asked for and not installed.
        UnreachableError: NE010 when the cluster does not answer.
        SystemFault: SY050 when a worker process was killed (memory, mostly).
    """
    if where.ray is not None:
        return _on_ray(works, where.ray, watch)
    if where.jobs <= 1 or len(works) <= 1:
        return _here(works, watch)
    return _in_pool(works, where.jobs, watch)


class _Throttled:
    """A modality's progress, passed on a few times per second at most."""

    def __init__(self, watch: Watch, index: int) -> None:
        self._watch, self._index, self._last = watch, index, 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_EVERY_S:
            self._last = now
            self._watch.reading(self._index, done, total)


def _here(works: Sequence[Work], watch: Watch) -> list[Found]:
    results = []
    for index, work in enumerate(works):
        results.append(carry_out(work, _Throttled(watch, index)))
        watch.finished(index)
    return results


# -- processes: started afresh, so that no thread's lock is copied in the middle of its work --------

_news: Queue[tuple[int, int, int]] | None = None


def _start_worker(news: Queue[tuple[int, int, int]]) -> None:
    global _news  # noqa: PLW0603 - a process of the pool is told once where to report to
    _news = news
    os.environ.setdefault("OMP_NUM_THREADS", "1")


class _ToQueue:
    def reading(self, index: int, done: int, total: int) -> None:
        if _news is not None:
            with contextlib.suppress(queue.Full):
                _news.put_nowait((index, done, total))

    def finished(self, index: int) -> None:
        """The future itself tells."""


def _task(
    modality: str, samples: tuple[SampleFiles, ...], profile: Profile, index: int = -1
) -> Found:
    work = Work(modality_named(modality), samples, profile)
    return carry_out(work, _Throttled(_ToQueue(), index))


def _in_pool(works: Sequence[Work], jobs: int, watch: Watch) -> list[Found]:
    context = multiprocessing.get_context("spawn")
    news: Queue[tuple[int, int, int]] = context.Queue(maxsize=10_000)
    ended = threading.Event()
    lock = threading.Lock()

    def listen() -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Empty):
                index, done, total = news.get(timeout=_REPORT_EVERY_S)
                with lock:
                    watch.reading(index, done, total)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(
            min(jobs, len(works)), context, initializer=_start_worker, initargs=(news,)
        ) as pool:
            return _collect(pool, works, watch, lock)
    finally:
        ended.set()
        listener.join(timeout=5)
        news.close()
        news.cancel_join_thread()


def _collect(
    pool: ProcessPoolExecutor, works: Sequence[Work], watch: Watch, lock: threading.Lock
) -> list[Found]:
    """Hand out the largest files first, so that none of them is begun last."""
    from concurrent.futures.process import BrokenProcessPool

    order = sorted(range(len(works)), key=lambda index: -works[index].size_bytes)
    futures = {}
    for index in order:
        work = works[index]
        futures[pool.submit(_task, work.modality.name, work.samples, work.profile, index)] = index
    results: dict[int, Found] = {}
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                results[futures[future]] = future.result()
                with lock:
                    watch.finished(futures[future])
    except BrokenProcessPool:
        raise SystemFault("SY050") from None
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return [results[index] for index in range(len(works))]


# -- a cluster: the same functions, on machines that see the same files ----------------------------


def _on_ray(works: Sequence[Work], address: str, watch: Watch) -> list[Found]:
    """Run on Ray; `local` starts one on this machine. Files must have the same paths there."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise UsageError("US051") from None
    _knock(address)
    try:
        ray.init(address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except Exception as error:  # noqa: BLE001 - a node that does not start raises Exception itself
        raise UnreachableError("NE010", why=type(error).__name__) from None
    try:
        remote: Any = ray.remote(max_retries=1)(_task)
        pending = {
            remote.remote(work.modality.name, work.samples, work.profile): index
            for index, work in enumerate(works)
        }
        results: dict[int, Found] = {}
        while pending:
            done, _ = ray.wait(list(pending))
            for reference in done:
                index = pending.pop(reference)
                results[index] = ray.get(reference)
                watch.finished(index)
        return [results[index] for index in range(len(works))]
    except ray.exceptions.RayError:
        raise SystemFault("SY050") from None
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes, then exit."""
    if address in {"local", "auto"}:
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UsageError("US001", "the Ray address is not HOST:PORT", fix="add --ray HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_TIMEOUT_S).close()
    except OSError as error:
        raise UnreachableError("NE010", why=error.strerror or type(error).__name__) from None
