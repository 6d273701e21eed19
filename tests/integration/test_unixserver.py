"""The server of a task's sockets, where its process has no more to give."""

import subprocess
import sys

# In a process of its own, for its limit. The client has its socket before the rest is taken.
NO_FILE_LEFT = """
import os, resource, socket, sys, threading
from pathlib import Path
from consumers.unixserver import UnixServer

refused = threading.Event()

class Listener(socket.socket):
    def accept(self):
        try:
            return super().accept()
        except OSError:
            refused.set()
            raise

def serve(connection):
    refused.wait(30)  # else it may let go of its file before the next one is refused
    connection.sendall(b"served")

server = UnixServer(Path(sys.argv[1]), serve, 2)
server._listener.close()
server._listener = Listener(socket.AF_UNIX)
with server, socket.socket(socket.AF_UNIX) as client:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    client.connect(sys.argv[1])
    assert refused.wait(30)
    for descriptor in taken:
        os.close(descriptor)
    client.settimeout(30)
    print(client.recv(6).decode())
"""


def test_it_serves_again_when_files_can_be_opened_again(tmp_path):
    command = [sys.executable, "-c", NO_FILE_LEFT, str(tmp_path / "socket")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("served\n", "")


ENDS_WITHOUT_FILES = (
    NO_FILE_LEFT.partition("    assert refused")[0]
    + """
    assert refused.wait(30)
print("ended")
"""
)


def test_it_can_be_ended_while_no_file_can_be_opened(tmp_path):
    command = [sys.executable, "-c", ENDS_WITHOUT_FILES, str(tmp_path / "socket")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("ended\n", "")
