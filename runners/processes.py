"""The processes of a run: start them, notice when one dies, and leave none behind.

Each child leads a process group of its own, so that a terminal's Ctrl-C reaches this process alone, which then stops
its children in order. Were this process killed outright, its *guard* would do it: a process that is told of each group,
sleeps on a pipe, and kills what is left when the pipe's other end is gone, for whatever reason.

Posix only. This file is also the guard's program, and imports nothing but the standard library.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
TAIL_LINES = 20
POLL_S = 0.1
_ZOMBIE = "Z"


class ProcessError(RuntimeError):
    """A process cannot be started, died, or did not get ready; the message is for a person."""


class Child:
    """One process and its log; it can be started again after it was stopped.

    Args:
        name: what messages call it.
        argv: the program and its arguments.
        log: the file that takes, at its end, all that the process prints.
        env: the environment; None hands on our own.
        cwd: the directory it works in; None hands on our own.
        stop_signal: what asks it to end.
        stop_timeout_s: how long it may take before it is killed.
        may_end: whether it may end by itself, with exit code 0.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_timeout_s: float = 15.0,
        may_end: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = list(argv)
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._stop_timeout_s = stop_timeout_s
        self._may_end = may_end
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None where it was not started or was stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it.

        Raises:
            ProcessError: there is no such program.
        """
        if self._process is not None:
            raise ProcessError(f"{self.name} was started already")
        guard = _guard()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self._argv,
                    env=self._env,
                    cwd=self._cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"{self.name} cannot be started: {error}") from error
        guard.watch(self._process.pid)

    def check(self) -> None:
        """Raise if it is not running, though it should be.

        Raises:
            ProcessError: with the last lines of its log.
        """
        if self._process is None:
            raise ProcessError(f"{self.name} is not running")
        code = self._process.poll()
        if code is not None and not (code == 0 and self._may_end):
            raise ProcessError(f"{self.name} ended with {_exit(code)}; the end of {self.log}:\n{self.last_lines()}")

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends by itself and return its exit code; negative for a signal.

        Raises:
            ProcessError: it did not end in time, or is not running.
        """
        if self._process is None:
            raise ProcessError(f"{self.name} is not running")
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name} did not end within {timeout_s:g} s") from None

    def stop(self) -> None:
        """Ask it to end, wait, and kill what is left of its group; nothing happens where it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self._stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._stop_timeout_s)
        self._kill_group(process)

    def kill(self) -> None:
        """Kill it and its group at once, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            self._kill_group(process)

    def followers(self) -> list[int]:
        """Return the process ids of its group but its own, in order; those that it has forgotten are among them.

        Linux only.
        """
        if self._process is None:
            return []
        followers = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                state, _, group, *_ = (path / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(group) == self._process.pid and state != _ZOMBIE:
                followers.append(int(path.name))
        return sorted(set(followers) - {self._process.pid})

    def last_lines(self, count: int = TAIL_LINES) -> str:
        """Return the last lines of its log, indented."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(f"  {line}" for line in lines[-count:]) or "  (nothing)"

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        _kill_groups([process.pid])
        process.wait()
        _guard().forget(process.pid)


class Children:
    """The children of a run, in order of their start; leaving the ``with`` stops them in reverse, come what may."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _deaf_to_interrupts(), contextlib.ExitStack() as stack:
            for child in self._children:
                stack.callback(child.stop)

    def start(self, child: Child) -> Child:
        """Start a child and answer for its end."""
        self._children.append(child)
        child.start()
        return child

    def check(self) -> None:
        """Raise if one of them is not running, though it should be.

        Raises:
            ProcessError: with the last lines of its log.
        """
        for child in self._children:
            child.check()


def require_free_port(port: int, what: str, variable: str) -> None:
    """Raise if a port is taken.

    Raises:
        ProcessError: which port, what for, and the variable that changes it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections just closed do not matter
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ProcessError(
                f"port {port}, meant for {what}, cannot be used ({reason}); choose another with {variable}=…",
            ) from error


def port_answers(port: int) -> bool:
    """Tell whether something listens on a local port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until_answers(port: int, timeout_s: float, who: str, check: Callable[[], None]) -> None:
    """Wait until something listens on a local port; see :func:`wait_until`."""
    wait_until(lambda: port_answers(port), timeout_s, f"{who} answers", check)


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str, check: Callable[[], None]) -> None:
    """Wait for a condition; ``check`` is asked meanwhile, and what it raises ends the wait.

    Raises:
        ProcessError: ``what`` did not happen in time.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        check()
        if time.monotonic() > end_s:
            raise ProcessError(f"{what}: not within {timeout_s:g} s")
        time.sleep(POLL_S)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a second Ctrl-C not break the cleaning up after the first."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which Ctrl-C does not reach
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _kill_groups(groups: Iterable[int]) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            os.killpg(group, signal.SIGKILL)


class _Guard:
    """Our end of the guard's pipe. The pipe closes by itself when this process ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self._close)

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):  # someone killed the guard; the children are still stopped by us
            pipe.write(line.encode())
            pipe.flush()

    def _close(self) -> None:
        self._process.communicate()


@functools.cache
def _guard() -> _Guard:
    return _Guard()


def _stand_guard() -> None:
    """Be the guard: note groups until the pipe closes, then kill those that are left."""
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    _kill_groups(groups)


if __name__ == "__main__":
    _stand_guard()
