"""Progress goes to stderr: nothing for a short run, a line now and then for a long one, a bar on a terminal."""

from __future__ import annotations

import io
import time

import pytest

from edge_runtime import progress


class Terminal(io.StringIO):
    """A stderr that calls itself a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def test_short_runs_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(["a", "b"], "doing")) == ["a", "b"]
    assert list(progress.track([], "doing")) == []
    assert capsys.readouterr() == ("", "")


def test_long_runs_show_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    for _ in progress.track(range(4), "doing"):
        time.sleep(0.02)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.partition(",")[0] for line in captured.err.splitlines()] == [f"doing: {i} of 4" for i in (1, 2, 3)]


def test_terminals_get_a_bar_if_the_run_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for quiet_seconds, shown in ((0.0, True), (60.0, False)):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(progress, "QUIET_SECONDS", quiet_seconds)
        assert list(progress.track(range(3), "doing")) == [0, 1, 2]
        assert ("doing" in terminal.getvalue()) is shown


def test_terminals_without_rich_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert list(progress.track(range(3), "doing")) == [0, 1, 2]
    assert "doing: 2 of 3" in terminal.getvalue()
