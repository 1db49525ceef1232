"""The guard of a program: runs it, ends it when told to, and leaves nothing of it behind.

A script of its own, `guard.py CONTROL PROGRAM ARGUMENT...`, that knows nothing but the standard library, so that it
starts in a few milliseconds. The guard is a process between a worker and a program:

- it outlives the worker, and so can end the program when the worker is killed;
- on Linux all orphans below it become its own children, and so it finds also those processes of the program that have
  left its process group and whose parents have ended;
- it ends only when all of them have.

CONTROL is a socket's file descriptor. From it the guard reads lines: `stop SECONDS` sends SIGTERM to all processes, and
SIGKILL so many seconds later, at once where the program itself has ended by then. The end of the input, which is also
the death of the worker, is SIGKILL at once. It writes a line of JSON when the program has started, `{"pid"}`, or could
not, `{"error"}`, and one when nothing of it is left: `{"code"}`, which is -N after signal N. Processes that it may not
kill, another user's, are left behind after some seconds, and `{"left"}` says how many.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
UNHEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What a terminal or a service manager sends to all processes; the guard's work is not done then."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
LOOK_SECONDS = 0.02
"""How long between two looks for processes that were to die and have not; what dies tells so itself."""
PATIENCE = 10.0
"""How long the guard tries to kill what cannot be killed."""


class Guard:
    """Runs a program and its end; `run` returns when nothing of the program is left."""

    def __init__(self, control: int) -> None:
        self._control = socket.socket(fileno=control)
        self._control.set_inheritable(False)
        self._worker = os.getppid()
        self._input = b""
        self._program = 0
        self._code: int | None = None
        self._deadline: float | None = None
        """When all that is left is killed; None while nobody wants that."""
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (*UNHEARD, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, _hear)

    def run(self, arguments: list[str]) -> None:
        """Run the program to its end, and to that of all that it has started."""
        if LINUX:
            _prctl(PR_SET_CHILD_SUBREAPER, 1)
            _prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)  # besides the end of the input, which a fork of the worker hides
        if not self._start(arguments):
            return
        while self._reap() and self._code is None and not self._overdue():
            self._wait(self._deadline)
        left = self._kill()
        self._say({"code": self._code, **({"left": left} if left else {})})

    def _start(self, arguments: list[str]) -> bool:
        """Start the program in a session, and so a process group, of its own; False where that fails."""
        failed, fails = os.pipe()  # closed by a successful exec, as by all who are not to inherit it
        try:
            self._program = os.fork()
        except OSError as error:
            self._say({"error": str(error)})
            return False
        if not self._program:
            _become(arguments, fails)
        os.close(fails)
        with open(failed, "rb") as told:
            problem = told.read().decode(errors="replace")
        self._say({"error": problem} if problem else {"pid": self._program})
        nowhere = os.open(os.devnull, os.O_RDWR)
        for end in (0, 1):  # so that who reads what the program writes hears its end; errors of ours still go to 2
            os.dup2(nowhere, end)
        return not problem

    def _reap(self) -> bool:
        """Take notice of what has ended; False where nothing is left. Where orphans become ours, that is certain."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self._program:
                self._code = os.waitstatus_to_exitcode(status)
                if not LINUX:
                    _signal_group(pid, signal.SIGKILL)

    def _overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _kill(self) -> int:
        """Kill until nothing is left; give how many cannot be killed."""
        patience = time.monotonic() + PATIENCE
        while self._reap():
            self._signal(signal.SIGKILL)
            if time.monotonic() > patience:
                return len(_below(os.getpid()))
            self._wait(time.monotonic() + LOOK_SECONDS)
        return 0

    def _signal(self, number: int) -> None:
        if not LINUX:
            _signal_group(self._program, number)
            return
        for pid in _below(os.getpid()):
            try:
                os.kill(pid, number)
            except OSError:
                continue  # gone meanwhile, or another user's

    def _wait(self, until: float | None) -> None:
        """Wait for a child's end, a word of the worker, or an instant."""
        control = self._control.fileno()
        heard = [self._wake] if control < 0 else [self._wake, control]
        ready, _, _ = select.select(heard, [], [], None if until is None else max(0.0, until - time.monotonic()))
        if self._wake in ready:
            os.read(self._wake, 4096)
        if control in ready:
            self._hear_control()
        if os.getppid() != self._worker:
            self._deadline = 0.0

    def _hear_control(self) -> None:
        try:
            got = self._control.recv(4096)
        except OSError:
            got = b""
        if not got:
            self._control.close()
            self._deadline = 0.0
        *lines, self._input = (self._input + got).split(b"\n")
        for line in lines:
            if self._deadline is None:
                self._deadline = time.monotonic() + float(line.removeprefix(b"stop "))
                self._signal(signal.SIGTERM)

    def _say(self, message: dict[str, object]) -> None:
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return  # nobody is there to hear it


def _hear(number: int, frame: object) -> None:
    """Take a signal; that it wakes the guard is enough."""


def _become(arguments: list[str], fails: int) -> None:
    """Become the program, in the child of the guard; does not return."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (*UNHEARD, *IGNORED_BY_PYTHON, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if LINUX:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should the guard itself be killed
        os.execvp(arguments[0], arguments)  # noqa: S606 - no shell is what we want
    except BaseException as error:  # noqa: BLE001 - nothing of it may run on as a second guard
        why = os.strerror(error.errno or errno.EIO) if isinstance(error, OSError) else str(error)
        os.write(fails, f"{arguments[0]}: {why}".encode(errors="replace"))
    finally:
        os._exit(127)


def _below(ancestor: int) -> list[int]:
    """Give the processes below one, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b") ")[2].split()[1])
            except OSError:
                continue  # gone meanwhile
            children.setdefault(parent, []).append(int(entry.name))
    found = [ancestor]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        return  # nobody is left in it


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    Guard(int(sys.argv[1])).run(sys.argv[2:])
