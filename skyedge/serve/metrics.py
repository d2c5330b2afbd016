"""What the server counts, as text for Prometheus."""

from __future__ import annotations

from collections import Counter

BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Requests by path and status, and the seconds of the images that were answered."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: list[int] = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests[path, status] += 1
        if status == 200:
            self._seconds[sum(seconds > bound for bound in BOUNDS_S)] += 1
            self._sum_s += seconds

    def text(self, inside: int) -> str:
        """Return all; `inside` images wait or are worked on."""
        lines = ["# TYPE skyedge_requests_total counter"]
        for (path, status), count in sorted(self._requests.items()):
            lines.append(f'skyedge_requests_total{{path="{path}",status="{status}"}} {count}')
        lines += ["# TYPE skyedge_images_inside gauge", f"skyedge_images_inside {inside}"]
        lines += ["# TYPE skyedge_answer_seconds histogram"]
        for index, bound in enumerate((*BOUNDS_S, "+Inf")):
            lines.append(f'skyedge_answer_seconds_bucket{{le="{bound}"}} {sum(self._seconds[: index + 1])}')
        lines += [f"skyedge_answer_seconds_sum {self._sum_s:.3f}", f"skyedge_answer_seconds_count {sum(self._seconds)}"]
        return "\n".join(lines) + "\n"
