"""One run of `skyedge bench --json` on a device, with the state of the device around it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.benchmark.device_record import Call
from edge_runtime.benchmark.results import Results, Rule, parse_results
from edge_runtime.errors import InputError
from skyedge.devices.cache import Cache, list_files
from skyedge.devices.link import PATIENCE_SECONDS, Finished
from skyedge.devices.state import elapsed_seconds, parse_state, shell_functions

PROGRESS = ("memory: ", "latency: ")
BEAT_SECONDS = 5  # between two signs of life
SLOWEST_RUN_SECONDS = 20.0  # a run counts as hanging where its timed runs take longer than this on average

# The device's own shell cleans up, also when the link breaks: its stdin then ends, and `watch` ends the shell. `watch` repeats
# its TERM, since a shell may lose one. `beat` has an end: its ALRM then stops a program that hangs, and a shell that does
# not answer is silent from then on, so that the other side gives up too.
# A background job has no stdin, hence the copy as 3. What sleeps must not hold stdout open. `echo` is in every shell, where
# `printf` may be a process that outlives `beat`.
# `cleanup` ends at any moment: KILL, since a subshell loses a TERM that comes before its trap is set; `$!`, since a signal may
# come between the start of a job and the line that keeps its number; no bare `wait`, which waits for all jobs. `pause` has the
# number of the sleep, which outlives `beat`.
_RUN = """
cd {cache} || exit 1
exec 3<&0
run=$PWD/skyedge-run-$$ main=$$ bench= watch= beat=
cleanup() {{
  set -- $! $bench $watch $beat
  [ $# = 0 ] || {{ kill -9 "$@"; wait "$@"; }}
  read -r pause < "$run/pause" && kill -9 "$pause"
  rm -rf "$run"
}} 2>/dev/null
mkdir "$run" && cd "$run" || exit 1
{links}
state before
{prefix} ./skyedge {words} --json result.json >/dev/null 3<&- & bench=$!
(read -r _ <&3; while kill -TERM $main; do sleep 1 3<&-; done) >/dev/null 2>&1 & watch=$!
(left={beats}
while [ $left != 0 ] && kill -0 $main && [ -d "$run" ]; do
  echo 'alive	-	-'
  sleep {beat} >/dev/null 2>&1 3<&- & echo $! > pause; wait $!
  left=$((left - 1))
done
kill -ALRM $main) 2>/dev/null & beat=$!
wait $bench
code=$?
bench=
[ $code = 0 ] || exit $code
state after
printf 'result\\t-\\t-\\n'
cat result.json
"""


@dataclass(frozen=True)
class Outcome:
    """One run: the results as the program wrote them, with artifacts named 0, 1, ..., and the device around the run."""

    results: Results
    call: Call


@dataclass(frozen=True)
class Bench:
    """Runs of the same artifacts on one device.

    Attributes
    ----------
    cache
        Has the program and all files of the artifacts.
    program
        SHA-256 of the program.
    artifacts
        What to measure, in this order.
    prefix
        Words before the program, in shell syntax.
    name
        Name of the device in the result; "" for its own name.
    """

    cache: Cache
    program: str
    artifacts: tuple[Artifact, ...]
    prefix: str
    name: str

    def call(self, threads: int, rule: Rule, log: Callable[[str], None]) -> Outcome:
        """Run once, in a folder that is removed in any case.

        Raises
        ------
        InputError
            The program refuses, cannot run there, or was ended; `LostError` for a lost device.
        """
        words = ["bench", "--threads", str(threads), "--runs", str(rule.min_runs), "--seconds", f"{rule.min_seconds:g}"]
        limit_seconds = _limit_seconds(rule, len(self.artifacts))
        heard = self.cache.link.run(
            self.script(words, limit_seconds),
            hear=lambda line: log(line) if line.startswith(PROGRESS) else None,
            limit_seconds=limit_seconds + 2 * PATIENCE_SECONDS,
        )
        if heard.code:
            raise self._explain(heard, limit_seconds)
        return _read(heard.out, threads, shlex.join(["skyedge", *words]), self.cache.link.shown)

    def script(self, words: Sequence[str], limit_seconds: float, beat_seconds: float = BEAT_SECONDS) -> str:
        """Return the shell text of one run: `words` are those after `skyedge`, without name, models and output."""
        named = ["--device-name", self.name] if self.name else []
        models = [word for index in range(len(self.artifacts)) for word in ("--model", str(index))]
        return shell_functions() + _RUN.format(
            cache=shlex.quote(self.cache.folder),
            links=self._links(),
            prefix=shlex.join(shlex.split(self.prefix)),
            words=shlex.join([*words, *named, *models]),
            beat=beat_seconds,
            beats=math.ceil(limit_seconds / beat_seconds),
        )

    def _links(self) -> str:
        """Return shell text that lays out the program and the artifacts.

        The program refuses symbolic links in an artifact, and Android refuses hard links: there the files are copied.
        """
        lines = [f"ln -s ../files/{self.program} skyedge || exit 1"]
        for index, artifact in enumerate(self.artifacts):
            lines.append(f"mkdir {index} || exit 1")
            for name, path in list_files(artifact).items():
                words = f"../files/{self.cache.digests[path]} {index}/{shlex.quote(name)}"
                lines.append(f"ln {words} 2>/dev/null || cp {words} || exit 1")
        return "\n".join(lines)

    def _explain(self, heard: Finished, limit_seconds: float) -> InputError:
        shown, code = self.cache.link.shown, heard.code
        lines = [line for line in heard.err.splitlines() if line.strip() and not line.startswith(PROGRESS)]
        said = "; ".join(lines[-3:]) or f"exit code {code}"
        advice = "do what it says, then run again"
        if code == 126:
            advice = f"expected a program for this device, in a folder from which programs may run; {self.cache.folder} may "
            advice += "forbid it: try --binary or --cache"
        elif code == 127:
            advice = "expected its libraries on the device: install them, or give a static program with --binary"
        elif code == 124:
            said = f"it ran for over {limit_seconds / 60.0:.0f} minutes"
            advice = "measure fewer artifacts at once, or with --quick"
        elif code > 128:
            advice = f"ended by signal {code - 128}; after signal 9 memory may be short: measure fewer artifacts at once"
        return InputError(f"skyedge bench failed on {shown}: {said}; {advice}")


def _limit_seconds(rule: Rule, artifacts: int) -> float:
    """Return how long a run may take: both kinds of every artifact at `SLOWEST_RUN_SECONDS`, and ten minutes around them."""
    return 600.0 + 2 * artifacts * max(2.0 * rule.min_seconds, rule.min_runs * SLOWEST_RUN_SECONDS)


def _read(out: str, threads: int, command: str, shown: str) -> Outcome:
    """Split what the device printed into states and the checked JSON."""
    head, _, text = out.partition("result\t-\t-\n")
    states: dict[str, list[Sequence[str]]] = {}
    current: list[Sequence[str]] = []
    for line in head.splitlines():
        words = line.split("\t", 2)
        if len(words) != 3:
            continue
        if words[0] == "state":
            current = states.setdefault(words[1], [])
        else:
            current.append(words)
    try:
        results = parse_results(text)
    except InputError as error:
        raise InputError(f"got an unreadable result from {shown}: {error}; expected JSON of skyedge bench") from error
    before, after = states["before"], states["after"]
    call = Call(
        threads=threads,
        command=command,
        before=parse_state(before),
        after=parse_state(after),
        seconds=elapsed_seconds(before, after),
    )
    return Outcome(results, call)
