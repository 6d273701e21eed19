# ruff: noqa: SIM105, UP024, UP031 - it has to run on Python 2.7 too
"""crunch-relay PORT=SOCKET... -- COMMAND [ARGUMENT]...: the inner end of a task's way to the API.

Listens on each port of the sandbox's own loopback and becomes the command; a child stays behind, and carries what comes
to a port on to its Unix socket, and back. Needs Python 2.7 or 3 and nothing else, as whatever image the task runs in.
"""

import errno
import os
import signal
import socket
import sys
import threading

CHUNK = 65536
BACKLOG = 64


def main(arguments):
    # type: (list[str]) -> None
    """Listen, leave a child that carries, become the command."""
    split = arguments.index("--")
    listeners = {}  # type: dict[socket.socket, str]
    for way in arguments[:split]:
        port, path = way.split("=", 1)
        listeners[_listen(int(port))] = path
    if os.fork() == 0:
        _stay(listeners)
    for listener in listeners:
        listener.close()
    _become(arguments[split + 1 :])


def _listen(port):
    # type: (int) -> socket.socket
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


def _become(command):
    # type: (list[str]) -> None
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write("%s: %s\n" % (command[0], error.strerror))
        sys.stderr.flush()
        os._exit(127 if error.errno == errno.ENOENT else 126)  # as a shell says it


def _stay(listeners):
    # type: (dict[socket.socket, str]) -> None
    """Carry until the sandbox ends. Signals are the task's, which may still have something to say after one."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    threads = [threading.Thread(target=_accept, args=item) for item in listeners.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)


def _accept(listener, path):
    # type: (socket.socket, str) -> None
    while True:
        near = listener.accept()[0]
        thread = threading.Thread(target=_bridge, args=(near, path))
        thread.daemon = True
        thread.start()


def _bridge(near, path):
    # type: (socket.socket, str) -> None
    """Both ways, until both have ended."""
    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        far.connect(path)
        back = threading.Thread(target=_pump, args=(far, near))
        back.daemon = True
        back.start()
        _pump(near, far)
        back.join()
    except (OSError, socket.error):  # the executor is gone, or takes no more connections: the caller's has ended
        pass
    finally:
        near.close()
        far.close()


def _pump(source, target):
    # type: (socket.socket, socket.socket) -> None
    try:
        data = source.recv(CHUNK)
        while data:
            target.sendall(data)
            data = source.recv(CHUNK)
        target.shutdown(socket.SHUT_WR)
    except (OSError, socket.error):  # one of the two is gone: the other shall hear of it
        _shut(source)
        _shut(target)


def _shut(end):
    # type: (socket.socket) -> None
    try:
        end.shutdown(socket.SHUT_RDWR)
    except (OSError, socket.error):  # it is shut
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
