"""One run of `skyedge bench --json` on a device, with the state of the device around it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.benchmark.device_record import Call
from edge_runtime.benchmark.results import Results, Rule, decode
from edge_runtime.devices.cache import Cache, list_files
from edge_runtime.devices.link import Finished
from edge_runtime.devices.state import elapsed_seconds, measure_energy, on_charger, parse_state, shell_functions
from edge_runtime.errors import InputError

PROGRESS = ("memory: ", "latency: ")
SAMPLE_KEYS = ("status", "microamperes", "microvolts")
BEAT_SECONDS = 5  # between two samples of the battery, which are the sign of life too

# The device's own shell cleans up, also where the link breaks: its stdin then ends, `watch` sees that and ends the shell.
# Background jobs of a shell have no stdin, hence the copy as 3. What sleeps must not hold stdout open.
# `cleanup` must end whatever the moment: KILL, since a TERM that reaches a subshell before it has set its trap is lost; `$!`,
# since a signal may come between the start of a job and the line that keeps its number; and no bare `wait`, which waits for all.
_RUN = """
cd {cache} || exit 1
exec 3<&0
run=$PWD/skyedge-run-$$ main=$$ bench= watch= beat=
cleanup() {{ set -- $! $bench $watch $beat; [ $# = 0 ] || {{ kill -9 "$@"; wait "$@"; }}; rm -rf "$run"; }} 2>/dev/null
trap 'exit 130' HUP INT TERM PIPE
mkdir "$run" && cd "$run" || exit 1
{links}
state before
{prefix} ./skyedge {words} --json result.json >/dev/null 3<&- & bench=$!
(read -r _ <&3; kill -TERM $main) >/dev/null 2>&1 & watch=$!
(while kill -0 $main && [ -d "$run" ]; do
  printf 'alive\\t-\\t-\\n'; battery
  sleep {beat} >/dev/null 2>&1 3<&-
done) 2>/dev/null & beat=$!
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
    """What one run gave: results as the program wrote them, with artifacts named 0, 1, ..., and the device around it."""

    results: Results
    call: Call
    charging: bool


@dataclass(frozen=True)
class Bench:
    """Runs of the same artifacts on one device.

    Attributes
    ----------
    cache
        Holds the program and all files of the artifacts.
    program
        SHA-256 of the program.
    artifacts
        What to measure, in this order.
    prefix
        Words that the program runs through, as a shell parts them.
    name
        What to call the device; "" leaves it to itself.
    """

    cache: Cache
    program: str
    artifacts: tuple[Artifact, ...]
    prefix: str
    name: str

    def call(self, threads: int, rule: Rule, log: Callable[[str], None]) -> Outcome:
        """Run once; the folder that it runs in is removed in any case.

        Raises
        ------
        InputError
            The program refuses, cannot run there, or was ended; `LostError` if the device went away.
        """
        words = ["bench", "--threads", str(threads), "--runs", str(rule.min_runs), "--seconds", f"{rule.min_seconds:g}"]
        named = ["--device-name", self.name] if self.name else []
        models = [word for index in range(len(self.artifacts)) for word in ("--model", str(index))]
        text = shell_functions() + _RUN.format(
            cache=shlex.quote(self.cache.folder),
            links=self._links(),
            prefix=shlex.join(shlex.split(self.prefix)),
            words=shlex.join([*words, *named, *models]),
            beat=BEAT_SECONDS,
        )
        heard = self.cache.link.run(text, hear=lambda line: log(line) if line.startswith(PROGRESS) else None)
        if heard.code:
            raise self._explain(heard)
        return _read(heard.out, threads, shlex.join(["skyedge", *words]), self.cache.link.shown)

    def _links(self) -> str:
        """Return shell text that lays out the program and the artifacts; Android refuses hard links, so symbolic ones."""
        lines = [f"ln -s ../files/{self.program} skyedge || exit 1"]
        for index, artifact in enumerate(self.artifacts):
            lines.append(f"mkdir {index} || exit 1")
            for name, path in list_files(artifact).items():
                lines.append(f"ln -s ../../files/{self.cache.digests[path]} {index}/{shlex.quote(name)} || exit 1")
        return "\n".join(lines)

    def _explain(self, heard: Finished) -> InputError:
        shown, code = self.cache.link.shown, heard.code
        lines = [line for line in heard.err.splitlines() if line.strip() and not line.startswith(PROGRESS)]
        said = "; ".join(lines[-3:]) or f"exit code {code}"
        advice = "see what it says"
        if code == 126:
            advice = f"expected a program for this device in a folder that may run some, which {self.cache.folder} may not be: "
            advice += "try --binary or --device-cache"
        elif code == 127:
            advice = "expected its libraries on the device: install them there, or name a static program with --binary"
        elif code > 128:
            advice = f"ended by signal {code - 128}; where that is 9, memory may have run out: measure fewer artifacts at once"
        return InputError(f"skyedge bench failed on {shown}: {said}; {advice}")


def _read(out: str, threads: int, command: str, shown: str) -> Outcome:
    """Part what the device printed into states, battery samples and the JSON, and check that."""
    head, _, text = out.partition("result\t-\t-\n")
    states: dict[str, list[Sequence[str]]] = {}
    samples: list[Sequence[str]] = []
    current: list[Sequence[str]] = []
    for line in head.splitlines():
        words = line.split("\t", 2)
        if len(words) != 3:
            continue
        if words[0] == "state":
            current = states.setdefault(words[1], [])
        else:
            (samples if words[0] in SAMPLE_KEYS else current).append(words)
    try:
        results = decode(Results, _checked(json.loads(text)))
    except ValueError as error:
        raise InputError(f"got no result from {shown} that can be read: {error}; expected JSON of skyedge bench") from error
    before, after = states["before"], states["after"]
    call = Call(
        threads=threads,
        command=command,
        before=parse_state(before),
        after=parse_state(after),
        seconds=elapsed_seconds(before, after),
        energy=measure_energy(before, after, samples),
    )
    return Outcome(results, call, on_charger(samples))


def _checked(value: Any) -> Any:
    """Return `value` if it is a result file."""
    import jsonschema

    from edge_runtime.report.rows import results_schema

    try:
        jsonschema.validate(value, results_schema(), cls=jsonschema.Draft202012Validator)
    except jsonschema.ValidationError as error:
        raise ValueError(f"{error.json_path}: {error.message[:300]}") from error
    return value
