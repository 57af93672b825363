"""python -m atoll.runtime.forkserver FD: starts processes that need not import what all of them import.

It imports once what service processes, preparations and descriptions have in common, and forks a process for each
request that comes through the Unix socket FD. User code is imported by the forked process alone.

One JSON object a line. In: {"id": 7, "module": "atoll.runtime", "arguments": [...], "directory": "...",
"environment": {...}} with two file descriptors, for standard output and errors. Out: {"id": 7, "pid": 4242}, and when
the process has ended {"pid": 4242, "code": 0}, with the number of a signal that ended it as a negative code.
"""

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence

# The modules that run as programs are not among them: each runs anew as __main__.
PRELOADED = (
    "uvloop",
    "atoll.runtime.host",
    "atoll.runtime.operations",
    "atoll.runtime.prepare",
    "atoll.runtime.stores",
    "atoll.model.check",
    "atoll.wire.description",
    # Of the extra `local`, which an ASGI member needs.
    "atoll.runtime.asgi",
)
_PROGRAMS = ("atoll.runtime", "atoll.runtime.describe")
_PR_SET_PDEATHSIG = 1
_LARGEST = 1_048_576


def main(descriptor: int) -> None:
    """Serve until the other end of the socket is closed."""
    _die_with_parent(signal.SIGKILL)
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # What exists now is shared with all children, and none of it is ever collected.
    gc.collect()
    gc.freeze()
    Server(socket.socket(fileno=descriptor)).run()


class Server:
    """Forks on request, and tells how each child ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._descriptors: list[int] = []

    def run(self) -> None:
        waking, woken = socket.socketpair()
        for each in (waking, woken):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Ctrl-C reaches the whole group of the terminal; whoever started us says when to end.
            signal.signal(number, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(waking, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is waking:
                        with contextlib.suppress(BlockingIOError):
                            waking.recv(4096)
                    elif not self._receive():
                        return
                self._reap()

    def _receive(self) -> bool:
        """Serve what has come; False at the end."""
        size = array.array("i").itemsize
        data, ancillary, _, _ = self._connection.recvmsg(_LARGEST, socket.CMSG_SPACE(16 * size))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % size])
                self._descriptors += descriptors
        self._buffer += data
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            output, errors = self._descriptors[:2]
            del self._descriptors[:2]
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become(request, output, errors, self._connection)
            os.close(output)
            os.close(errors)
            self._send({"id": request["id"], "pid": pid})
        return bool(data)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._send({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _send(self, message: Mapping[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")


def _become(request: Mapping[str, object], output: int, errors: int, connection: socket.socket) -> None:
    """In the forked process: run the module as `python -m` does. Never returns."""
    code = 1
    try:
        _settle(request, output, errors, connection)
        code = _run(str(request["module"]), _strings(request["arguments"]))
    except BaseException:  # noqa: BLE001 (what escapes a program is printed, and the program ends)
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _settle(request: Mapping[str, object], output: int, errors: int, connection: socket.socket) -> None:
    """Leave everything of the server's behind."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # As every process of a run ends when the supervisor is gone: the server goes with it, and we with the server.
    _die_with_parent(signal.SIGTERM)
    connection.close()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.closerange(3, max(output, errors, 64) + 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    environment = request["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    directory = str(request["directory"])
    os.chdir(directory)
    sys.path[0] = directory


def _run(module: str, arguments: Sequence[str]) -> int:
    """The exit status of the program."""
    if module not in _PROGRAMS:
        raise ValueError(f"{module} is none of {', '.join(_PROGRAMS)}")
    sys.argv = [module, *arguments]
    try:
        with warnings.catch_warnings():
            # It says that the module was imported before, which matters to nobody here.
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
        return 1
    return 0


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]


def _die_with_parent(number: signal.Signals) -> None:
    """Have Linux send us the signal when our parent ends, even by SIGKILL. Elsewhere there is no such thing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    main(int(sys.argv[1]))
