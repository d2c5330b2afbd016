"""The planned shards on this machine: a thread and a process for each worker, beside other machines that share DEST."""

from __future__ import annotations

import errno
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

from edge_runtime.errors import InputError
from edge_runtime.progress import LINE_SECONDS, say
from skyedge.batch.claims import BEAT_S, Claims
from skyedge.batch.results import Manifest
from skyedge.batch.shards import MANIFESTS, Planned
from skyedge.batch.storage import kind_of, place
from skyedge.batch.worker import Task, Worker

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Pool:
    """The workers of one machine, and what they share."""

    def __init__(self, planned: Sequence[Planned], task: Task, count: int, first: int = 0) -> None:
        """Take the shards from number `first` on, so that machines that join begin at different ones."""
        self._dest = place(task.dest)
        self._left = deque([*planned[first:], *planned[:first]])
        self._taken: set[str] = set()  # shards that another machine had when this one looked
        self._images = sum(each.images for each in planned)
        self._claims = Claims(self._dest)
        self._workers = [Worker(task, number, self._claims.count) for number in range(count)]
        self._made: list[Manifest] = []
        self._error: BaseException | None = None
        self._shown = deque([(time.monotonic(), 0)], maxlen=60)  # when, and images done; the oldest decides the rate

    def run(self) -> list[Manifest]:
        """Do the shards that no other machine does, until all are done; returns their manifests.

        Raises `InputError` for what every shard would meet: a full disk, a model that is another one here.
        """
        threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in self._workers]
        self._claims.start()
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and self._error is None:
                time.sleep(0.05)
                if time.monotonic() - self._shown[-1][0] >= LINE_SECONDS:
                    say(self._progress())
            if self._error is not None:
                raise self._error
            return self._made
        finally:
            self._error = self._error or InputError("the run was ended")  # threads that are left end with the program
            self._claims.stop()

    def _work(self, worker: Worker) -> None:
        try:
            while (planned := self._next()) is not None:
                self._made.append(worker.do(planned))
        except BaseException as error:
            full = isinstance(error, OSError) and error.errno in NO_ROOM
            if isinstance(error, OSError):
                error = InputError(f"{error}" + "; free some room, then run it again: finished shards are kept" * full)
            self._error = self._error or error
        finally:
            worker.close()

    def _next(self) -> Planned | None:
        """Return a shard for this machine, None where all are done; what another machine has is waited for."""
        while self._error is None:
            try:
                planned = self._left.popleft()
            except IndexError:
                return None
            if planned.id in self._taken:
                time.sleep(BEAT_S)
            mine = self._claims.take(planned.id)
            if kind_of(self._dest / MANIFESTS / f"{planned.id}.json") == "file":
                continue
            if mine or self._claims.take_over(planned.id):
                return planned
            self._taken.add(planned.id)
            self._left.append(planned)
        return None

    def _progress(self) -> str:
        """Return a line: images done on all machines, rate, failures by kind, and the time that is left."""
        totals = [self._claims.done, *self._claims.others()]
        done = min(self._images, sum(each["images"] for each in totals))  # a lost machine's last ones are done twice
        failed = sum((Counter(each["errors"]) for each in totals), Counter())
        now, (since, before) = time.monotonic(), self._shown[0]
        self._shown.append((now, done))
        rate = (done - before) / (now - since)
        kinds = ", ".join(f"{count} {kind}" for kind, count in failed.most_common())
        left = f", about {duration((self._images - done) / rate)} left" if rate else ""
        machines = f" on {len(totals)} machines" if len(totals) > 1 else ""
        share = f"{done:,} of {self._images:,} images ({100 * done / self._images:.1f} %)"
        return f"{share}{machines}, {rate:.1f} a second{left}; {failed.total()} failed" + f" ({kinds})" * bool(kinds)


def duration(seconds: float) -> str:
    """Return a time as a person says it: 40 s, 12 min, 5 h 20 min, 3 d 4 h."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
