from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runners.processes import Child, Children, ProcessError, port_answers, require_free_port, wait_until

ROOT = Path(__file__).parent.parent
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
# A parent that starts a sleeping child of its own, and ends at once when asked to.
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""
NOTES_ITS_END = """
import pathlib, signal, sys, time
def end(*_):
    with pathlib.Path(sys.argv[1]).open("a") as notes:
        notes.write(sys.argv[2])
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
"""


def script(tmp_path: Path, code: str, *arguments: str, name: str = "thing", stop_timeout_s: float = 15.0) -> Child:
    return Child(
        name,
        [sys.executable, "-c", code, *arguments],
        tmp_path / f"{name}.log",
        stop_timeout_s=stop_timeout_s,
    )


def pid_of(child: Child) -> int:
    assert child.pid is not None
    return child.pid


def up(child: Child) -> None:
    wait_until(lambda: child.log.read_text() != "", 10.0, "the child prints", child.check)


def grandchild_of(log: Path) -> int:
    def pids() -> list[int]:
        return [int(line) for line in log.read_text().splitlines() if line.isdigit()]

    wait_until(lambda: "up" in log.read_text() and pids() != [], 10.0, "the grandchild is up", lambda: None)
    return pids()[0]


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"  # dead, and waiting for an init that does not reap


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    with Children() as children:

        def start(code: str, stop_timeout_s: float = 15.0) -> Child:
            child = children.start(script(tmp_path, code, stop_timeout_s=stop_timeout_s))
            up(child)
            return child

        yield start


def test_a_stopped_child_is_gone_and_can_be_started_again(running: Callable[..., Child]) -> None:
    child = running(SLEEP)
    first = pid_of(child)
    child.stop()
    assert gone(first)
    with pytest.raises(ProcessError, match="not running"):
        child.check()
    child.start()
    assert pid_of(child) != first
    child.check()


def test_stop_takes_the_childs_own_children_along(running: Callable[..., Child]) -> None:
    child = running(PARENT)
    grandchild = grandchild_of(child.log)
    assert not gone(grandchild)
    child.stop()
    wait_until(lambda: gone(grandchild), 5.0, "the grandchild is gone", lambda: None)


def test_a_child_that_does_not_listen_is_killed(running: Callable[..., Child]) -> None:
    child = running(STUBBORN, stop_timeout_s=0.3)
    pid = pid_of(child)
    child.stop()
    assert gone(pid)


def test_check_tells_the_exit_code_and_the_end_of_the_log(tmp_path: Path) -> None:
    child = script(tmp_path, "print('line\\n' * 100 + 'no such site'); raise SystemExit(3)", name="the pipeline")
    child.start()
    assert child.wait(10.0) == 3
    with pytest.raises(ProcessError, match=r"(?s)the pipeline ended with exit code 3.*no such site") as raised:
        child.check()
    assert str(raised.value).count("  line") == 19
    child.stop()


def test_a_child_that_may_end_may_not_fail(tmp_path: Path) -> None:
    for code, fails in ((0, False), (1, True)):
        child = Child("x", [sys.executable, "-c", f"raise SystemExit({code})"], tmp_path / "log", may_end=True)
        child.start()
        child.wait(10.0)
        if fails:
            with pytest.raises(ProcessError, match="exit code 1"):
                child.check()
        else:
            child.check()
        child.stop()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    child = Child("the broker", ["no-such-java"], tmp_path / "log")
    with pytest.raises(ProcessError, match=r"the broker cannot be started: .*no-such-java"):
        child.start()
    child.stop()  # and nothing is left to stop


def test_children_are_stopped_in_reverse_even_after_an_error(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    def fail() -> None:
        with Children() as children:
            for name in ("1", "2", "3"):
                up(children.start(script(tmp_path, NOTES_ITS_END, str(notes), name, name=name)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert notes.read_text() == "321"


def test_a_second_interrupt_does_not_break_the_stopping(tmp_path: Path) -> None:
    slow = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()))\n" + SLEEP
    code = f"""
import os, pathlib, signal, sys, threading
from runners.processes import Child, Children, wait_until
child = Child("slow", [sys.executable, "-c", {slow!r}], pathlib.Path({str(tmp_path / "log")!r}))
try:
    with Children() as children:
        children.start(child)
        wait_until(child.log.read_text, 10, "up", child.check)
        print(child.pid, flush=True)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    pid, said = done.stdout.split()
    assert said == "stopped", done.stderr
    assert gone(int(pid))


def test_nothing_is_left_when_the_starter_is_killed(tmp_path: Path) -> None:
    code = f"""
import pathlib, sys, time
from runners.processes import Child
child = Child("parent", [sys.executable, "-c", {PARENT!r}], pathlib.Path({str(tmp_path / "log")!r}))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        grandchild = grandchild_of(log)
        assert not gone(child)
        assert not gone(grandchild)
        os.kill(starter.pid, signal.SIGKILL)
    wait_until(lambda: gone(child) and gone(grandchild), 5.0, "both are gone", lambda: None)


def test_a_taken_port_is_named_with_its_use_and_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        assert port_answers(port)
        with pytest.raises(ProcessError, match=rf"port {port}, meant for the Kafka broker.*KAFKA_PORT="):
            require_free_port(port, "the Kafka broker", "KAFKA_PORT")
    assert not port_answers(port)
    require_free_port(port, "the Kafka broker", "KAFKA_PORT")


def test_a_port_that_cannot_be_is_refused() -> None:
    with pytest.raises(ProcessError, match="KAFKA_PORT"):
        require_free_port(70_000, "the Kafka broker", "KAFKA_PORT")


def test_waiting_ends_in_time_and_says_for_what() -> None:
    began_s = time.monotonic()
    with pytest.raises(ProcessError, match="the moon rises"):
        wait_until(lambda: False, 0.2, "the moon rises", lambda: None)
    assert time.monotonic() - began_s < 5.0


def test_waiting_ends_as_soon_as_a_child_dies(tmp_path: Path) -> None:
    child = script(tmp_path, "raise SystemExit(1)")
    child.start()
    began_s = time.monotonic()
    with pytest.raises(ProcessError, match="thing ended with exit code 1"):
        wait_until(lambda: False, 60.0, "never", child.check)
    assert time.monotonic() - began_s < 10.0
    child.stop()
