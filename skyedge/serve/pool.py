"""The processes that answer images, in the order of arrival, behind a queue with a bound."""

from __future__ import annotations

import asyncio
import math
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import UnidentifiedImageError

from edge_runtime.child import Child
from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS, SAFE_FORMATS, open_image
from edge_runtime.images.mask_file import mask_png
from edge_runtime.masks.cutout import remove_sky
from edge_runtime.segment.mask import MaskOptions, make_mask
from edge_runtime.segmenter import load_models

WARM = ("", b"")  # a request without an image, which opens the network


class Refused(ValueError):
    """An image that is not answered: the status and what to say."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail


def open_network(models: Sequence[Path | str], options: MaskOptions, most_pixels: int) -> Callable[[tuple[str, bytes]], bytes]:
    """Return what answers (verb, image file) with a PNG, in a process of its own."""
    limit_threads(1)
    segmenter = load_models(models, 1)

    def answer(request: tuple[str, bytes]) -> bytes:
        verb, content = request
        if request == WARM:
            return b""
        try:
            with open_image(content, SAFE_FORMATS) as image:
                if image.width * image.height > most_pixels:
                    got = f"got an image of {image.width} x {image.height}"
                    raise Refused(413, f"{got}, expected at most {most_pixels} pixels; send a smaller one")
            return mask_png(make_mask(content, segmenter, options).mask) if verb == "mask" else remove_sky(content, segmenter)
        except Refused:
            raise
        except UnidentifiedImageError as error:
            got = f"got {len(content)} bytes that are no image"
            raise Refused(415, f"{got}, expected {', '.join(SAFE_FORMATS)}") from error
        except (InputError, *DECODE_ERRORS) as error:
            raise Refused(400, f"cannot read the image: {error}") from error

    return answer


class Pool:
    """`count` processes; at most `room` more images wait for them."""

    def __init__(self, child: Callable[[], Child], count: int, room: int, limit_s: float) -> None:
        self._children: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(count)
        self._count, self._most, self._limit_s = count, count + room, limit_s
        self.inside = 0  # images that wait or are worked on
        self.mean_s = 0.2  # of an image, over the last ones
        for _ in range(count):
            self._children.put(child())

    def warm(self) -> None:
        """Open the network in all processes; raises `InputError` where that fails."""
        children = [self._children.get() for _ in range(self._count)]
        list(self._executor.map(lambda child: child.ask(WARM, self._limit_s), children))
        for child in children:
            self._children.put(child)

    def full(self) -> bool:
        """Tell whether there is no room for another image."""
        return self.inside >= self._most

    def wait_s(self) -> int:
        """Return in how many seconds what is inside will be done."""
        return max(1, math.ceil(self.inside * self.mean_s / self._count))

    def answer(self, verb: str, content: bytes) -> asyncio.Future[bytes]:
        """Begin to answer an image; to cancel the future takes it out of the queue."""
        loop = asyncio.get_running_loop()
        self.inside += 1
        future: Future[bytes] = self._executor.submit(self._ask, verb, content)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return asyncio.wrap_future(future)

    def _leave(self) -> None:
        self.inside -= 1

    def _ask(self, verb: str, content: bytes) -> bytes:
        child, start = self._children.get(), time.monotonic()
        try:
            return bytes(child.ask((verb, content), self._limit_s))
        finally:
            self.mean_s += 0.1 * (time.monotonic() - start - self.mean_s)
            self._children.put(child)

    def close(self) -> None:
        """Let what is worked on end, and end the processes."""
        self._executor.shutdown(cancel_futures=True)
        for _ in range(self._count):
            self._children.get().close()
