"""The native half of `bench.mjs --native`: times an artifact's network whenever a line with a number of runs comes in."""

import json
import sys
import time

from edge_runtime import Segmenter

segmenter = Segmenter.load(sys.argv[1], threads=int(sys.argv[2]))
image = segmenter.artifact.golden().input
for line in sys.stdin:
    times_ms = []
    for _ in range(int(line)):
        start = time.perf_counter()
        segmenter.backend.run(image)
        times_ms.append((time.perf_counter() - start) * 1000)
    print(json.dumps(times_ms), flush=True)
