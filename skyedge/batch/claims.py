"""Which machine does which shard: a file in DEST/claims/ for each shard that is taken, and a heartbeat of each machine.

Claims only save work. Where two machines do the same shard (a store that lets both claim it, a machine that was taken for
dead), both write a file of their own, and the manifest that was written last says which of them counts.
"""

from __future__ import annotations

import json
import platform
import secrets
import threading
import time
from typing import Any

from edge_runtime.errors import InputError
from skyedge.batch.storage import Place, create, listed, read_bytes, remove, write

CLAIMS, NODES = "claims", "nodes"
BEAT_S = 3.0
DEAD_S = 20.0  # without a beat; the time is this machine's, so clocks need not agree


class Claims:
    """The claims of a run, seen from one machine; `done` is what it has done: images, and errors by kind."""

    def __init__(self, dest: Place) -> None:
        self.name = f"{platform.node()}-{secrets.token_hex(4)}"
        self.done: dict[str, Any] = {"images": 0, "errors": {}}
        self._dest, self._beat = dest, 0
        self._seen: dict[str, tuple[str, float]] = {}  # machine -> its last heartbeat, and when that was seen first
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat_until_stopped, daemon=True)

    def count(self, kind: str | None) -> None:
        """Count an image, with its kind of error."""
        with self._lock:
            self.done["images"] += 1
            if kind is not None:
                self.done["errors"][kind] = self.done["errors"].get(kind, 0) + 1

    def start(self) -> None:
        """Begin to beat, on a thread of its own."""
        self._write_heartbeat()
        self._beats.start()

    def stop(self) -> None:
        """Stop beating, and say so: what this machine has claimed is free at once."""
        self._ended.set()
        self._beats.join(DEAD_S)  # a beat that is under way would come back after it was removed
        remove(self._dest / NODES / self.name)

    def _beat_until_stopped(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._write_heartbeat()
            except OSError:
                continue  # the next beat may get through; after `DEAD_S` without one others take over

    def _write_heartbeat(self) -> None:
        self._beat += 1
        with self._lock:
            text = json.dumps(self.done | {"beat": self._beat})
        write(self._dest / NODES / self.name, text.encode())

    def take(self, id: str) -> bool:
        """Claim a shard that nobody has; tells whether it is this machine's now."""
        return create(self._dest / CLAIMS / id, self.name.encode())

    def take_over(self, id: str) -> bool:
        """Claim a shard whose machine is gone; tells whether it is this machine's now."""
        owner = self._read(CLAIMS, id)
        if owner is None or self._lives(owner):
            return owner is None and self.take(id)
        write(self._dest / CLAIMS / id, self.name.encode())
        return True

    def others(self) -> list[dict[str, Any]]:
        """Return what the other machines have done, those that died too."""
        found = (self._read(NODES, name) for name in listed(self._dest / NODES) if name != self.name)
        return [json.loads(text) for text in found if text]

    def _lives(self, name: str) -> bool:
        """Tell whether the heartbeat of a machine went on in the last `DEAD_S`."""
        beat = self._read(NODES, name)
        if beat is None:
            return False
        before, since = self._seen.get(name, (None, 0.0))
        if beat != before:
            self._seen[name] = beat, time.monotonic()
            return True
        return time.monotonic() - since < DEAD_S

    def _read(self, folder: str, name: str) -> str | None:
        try:
            return read_bytes(self._dest / folder / name).decode()
        except InputError:
            return None
