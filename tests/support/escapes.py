"""What a task may try against its node: each a script that runs inside, and a judge outside that says if it got away.

Every attempt is bounded: where nothing stops it, it does what it set out to do, once, and ends.
"""

import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.conninfo import conninfo_to_dict

from schemas.claims import Exited
from store.words import KEPT
from tests.support.attempts import Bench

PROCESSES = 40  # a task may have
MIB = 2**20


class Host:
    """What there is on this node that a task has no business with."""

    def __init__(self, bench: Bench, folder: Path, stack: ExitStack, postgres: str, engine: str) -> None:
        self.bench = bench
        self.secret = secrets.token_hex(16)
        self.folder = folder
        (folder / "secret").write_text(self.secret)
        bench.run("true", inputs={"theirs": bench.save({"secret": self.secret})}, image=bench.image)
        self.code = bench.save({"program": "#!/bin/sh\n"})
        tcp = stack.enter_context(socket.create_server(("0.0.0.0", 0)))
        self.abstract = f"\0crunch-reuse-{self.secret}"
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(self.abstract)
        abstract.listen()
        server = conninfo_to_dict(postgres)
        self.places = {
            "a port on the loopback": ("127.0.0.1", tcp.getsockname()[1]),
            "a port on the host's own address": (own_address(), tcp.getsockname()[1]),
            "an abstract socket": self.abstract,
            "postgres": f"{server['host']}/.s.PGSQL.{server.get('port', 5432)}",
            "the engine": engine.removeprefix("unix://"),
        }


def own_address() -> str:
    """An address of this host that is not the loopback's, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
    return "127.0.0.1"


@contextmanager
def host(bench: Bench, folder: Path, postgres: str, engine: str) -> Iterator[Host]:
    """A node with others' things on it."""
    folder.mkdir()
    folder.chmod(0o777)
    with ExitStack() as stack:
        yield Host(bench, folder, stack, postgres, engine)


class Escape(NamedTuple):
    """`script`: Python, with `place`, `folder`, `secret` to be put in. `got_away`: it did what it should not."""

    name: str
    script: str
    got_away: Callable[[Host, Exited], bool]
    fields: dict[str, Any] = {}  # noqa: RUF012 - read only
    place: str = ""


def says(word: str) -> Callable[[Host, Exited], bool]:
    """It prints this word once it has done it."""
    return lambda host, report: word in host.bench.log(report).split()


def _written_or_might_be(host: Host, report: Exited) -> bool:
    """What is refused for want of permission is not read-only, and /dev alone need not be."""
    said = [line.split() for line in host.bench.log(report).splitlines()]
    return any(how not in ("EROFS", "ENOENT") for how, place in said if place != "/dev" or how == "written")


def _tells_the_secret(host: Host, report: Exited) -> bool:
    said = host.bench.log(report)
    return host.secret in said or (report.output != "" and host.secret in str(host.bench.output(report)))


def _log_beyond_bound(host: Host, report: Exited) -> bool:
    [file] = host.bench.store.files(report.log)
    return file.size > KEPT + 1000


def _outlives(host: Host, report: Exited) -> bool:
    """Whoever holds the fifo's other end lives; it is ended here, where it does."""
    del report
    left = [pid for pid in _all_processes() if _command_of(pid).endswith(host.secret.encode() + b"\0")]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return bool(left)


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


CONNECT = """
import socket
place = {place!r}
with socket.socket(socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX) as to:
    to.settimeout(2)
    to.connect(place)
    print("connected")
"""

WRITE = """
import errno, os
places = ["/", "/usr", "/usr/bin", "/etc", "/dev", "/run", "/opt/crunch", "/inputs", "/keep", {folder!r}]
places += ["/var/tmp", "/var/lock", os.environ["CRUNCH_SRC"]]
assert os.path.isdir(places[-1])
for place in places:
    name = os.path.join(place, "written-" + {secret!r})
    try:
        open(name, "w").close()
        os.remove(name)
        print("written", place)
    except OSError as error:
        print(errno.errorcode[error.errno], place)
"""

REMOUNT = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
MS_REMOUNT, MS_BIND, MS_PRIVATE, MS_REC = 32, 4096, 1 << 18, 16384
libc.unshare(0x00020000)  # a mount namespace of its own, so that it harms nobody
libc.mount(b"none", b"/", None, MS_PRIVATE | MS_REC, None)
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
    print("mounted")
"""

OTHERS_INPUTS = """
import os
for root in ("/keep", "/inputs", os.path.dirname({folder!r}), "/proc/1/root" + os.path.dirname({folder!r})):
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    if {secret!r}.encode() in file.read(2 ** 20):
                        print({secret!r})
            except OSError:
                pass
"""

MANY_PROCESSES = """
import os, time
made = []
try:
    for number in range(2 * {processes}):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        made.append(child)
    print("forked")
finally:
    for child in made:
        os.kill(child, 9)
"""

MUCH_MEMORY = """
import os, signal, sys
signal.signal(signal.SIGCHLD, lambda *_: sys.exit("one was killed"))
ready, tell = os.pipe()
wait, go = os.pipe()
children = []
for number in range(4):
    if os.fork() == 0:
        os.close(go)
        held = bytearray(os.urandom(4096)) * (25 * 2 ** 20 // 1024)
        os.write(tell, b"x")
        os.read(wait, 1)
        os._exit(0)
os.close(tell)
got = b""
while len(got) < 4:
    got += os.read(ready, 4)
print("held", flush=True)
"""

FILL_THE_DISK = """
import os, signal, sys
try:
    place = {folder!r}
    open(os.path.join(place, "probe"), "w").close()
    if "TASK_OUTPUT" in os.environ:  # leave behind what it could be found by
        os.execve(sys.executable, open("/proc/self/cmdline").read().split("\\0")[:-1], {{}})
except OSError:
    place = os.environ["TASK_OUTPUT"]
held = []
for number in range({files}):
    name = os.path.join(place, "filler-%d" % number)
    held.append(open(name, "wb"))
    {then}
    {fill}
    held[-1].flush()
if place == os.environ.get("TASK_OUTPUT"):
    signal.sigtimedwait([], 20)
print("filled")
for file in held:  # nobody else would remove it
    file.truncate(0)
"""

TEN_MIB = 'held[-1].write(b"x" * (10 * 2 ** 20))'
ROOM_FOR_TEN_MIB = "os.posix_fallocate(held[-1].fileno(), 0, 10 * 2 ** 20)"  # it takes them at once, and no time


def fills_the_disk(*, then: str = "pass", files: int = 20, fill: str = TEN_MIB) -> str:
    """`then`: what it does with a file's name when the file is open."""
    return FILL_THE_DISK.replace("{then}", then).replace("{files}", str(files)).replace("{fill}", fill)


EMPTY_FILES = """
import os, shutil, signal
try:
    place = os.path.join({folder!r}, "many")
    os.mkdir(place)
except OSError:
    place = os.environ["TASK_OUTPUT"]
for number in range(10000):
    open(os.path.join(place, str(number)), "w").close()
if place == os.environ["TASK_OUTPUT"]:
    signal.sigtimedwait([], 20)
print("filled")
shutil.rmtree(place, ignore_errors=True)
"""

MUCH_TALK = """
import os, sys
log = os.path.join(os.environ["TASK_OUTPUT"], "..", "log")
try:
    with open(log, "ab") as file:
        file.write(b"x" * (40 * 2 ** 20))
except OSError:
    for number in range(1000):
        os.write(1, b"x" * 1000000)
"""

SECRET_AS_OUTPUT = """
import os, shutil
secret, output = os.path.join({folder!r}, "secret"), os.environ["TASK_OUTPUT"]
try:
    shutil.copyfile(secret, os.path.join(output, "copy"))
except OSError:
    {otherwise}
"""
AS_LINK = 'os.symlink(secret, os.path.join(output, "link"))'
AS_CLIMBING_LINK = 'os.symlink("../../../../.." + secret, os.path.join(output, "link"))'
AS_HARD_LINK = 'os.link("/proc/self/root" + secret, os.path.join(output, "link"))'

BESIDE_THE_OUTPUT = """
import os
open(os.path.join(os.environ["TASK_OUTPUT"], "..", "beside"), "w").close()
print("written")
"""

DEVICE = """
import os, stat
os.mknod(os.path.join(os.environ["TASK_OUTPUT"], "zero"), stat.S_IFCHR | 0o666, os.makedev(1, 5))
print("made")
"""

BECOME_ROOT = """
import os, shutil, subprocess
copy = os.path.join(os.environ["TASK_WORK"], "shell")
shutil.copyfile("/bin/sh", copy)
os.chmod(copy, 0o6755)
for become in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.seteuid(0)):
    try:
        become()
    except OSError:
        pass
told = []
for command in ([copy, "-p", "-c", "id -u"], ["su", "-c", "id -u"]):
    told.append(subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout.strip())
if 0 in (os.getuid(), os.geteuid()) or "0" in told:
    print("root")
"""

OWN_NAMESPACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) == 0:  # CLONE_NEWUSER: all capabilities, in there
    print("unshared")
"""

OTHERS_PROCESSES = """
import os
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            with open("/proc/" + name + "/cmdline", "rb") as file:
                command = file.read()
                if b"dockerd" in command and b"os.listdir" not in command:
                    print("seen")
        except OSError:
            pass
"""

OUTLIVE = """
import os, signal, time
gone, here = os.pipe()  # its ends are closed as the child becomes another program
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.execve("/bin/sh", ["sh", "-c", 'sleep 60; : "$0"', {secret!r}], {{}})
os.close(here)
os.read(gone, 1)
"""

IGNORE_SIGNALS = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
{outlive}
time.sleep(60)
"""

PLACES = ("a port on the loopback", "a port on the host's own address", "an abstract socket", "postgres", "the engine")
ESCAPES = [
    *(Escape(f"to {place}", CONNECT, says("connected"), place=place) for place in PLACES),
    *(Escape(f"to {place} with the way to the API", CONNECT, says("connected"), {"verdict": "record"}, place)
      for place in PLACES),
    Escape("write where it may not", WRITE, _written_or_might_be),
    Escape("mount", REMOUNT, says("mounted")),
    Escape("read another task's inputs", OTHERS_INPUTS, _tells_the_secret),
    Escape("fork beyond its limit", MANY_PROCESSES, says("forked")),
    Escape("hold more memory than its own", MUCH_MEMORY, says("held"), {"memory": 128}),
    Escape("fill the disk", fills_the_disk(), says("filled"), {"scratch": 32}),
    Escape("fill the disk with files that have no name", fills_the_disk(then="os.remove(name)"),
           says("filled"), {"scratch": 32}),
    Escape("fill the disk with empty files", EMPTY_FILES, says("filled"), {"scratch": 32}),
    Escape("a gigabyte of output", fills_the_disk(files=103, fill=ROOM_FOR_TEN_MIB), says("filled"), {"scratch": 32}),
    Escape("fill the log", MUCH_TALK, _log_beyond_bound),
    Escape("a link as output", SECRET_AS_OUTPUT.replace("{otherwise}", AS_LINK), _tells_the_secret),
    Escape("a climbing link as output", SECRET_AS_OUTPUT.replace("{otherwise}", AS_CLIMBING_LINK), _tells_the_secret),
    Escape("a hard link as output", SECRET_AS_OUTPUT.replace("{otherwise}", AS_HARD_LINK), _tells_the_secret),
    Escape("write beside its output", BESIDE_THE_OUTPUT, says("written")),
    Escape("a device as output", DEVICE, says("made")),
    Escape("become root", BECOME_ROOT, says("root")),
    Escape("a user namespace of its own", OWN_NAMESPACE, says("unshared")),
    Escape("see others' processes", OTHERS_PROCESSES, says("seen")),
    Escape("outlive its task", OUTLIVE, _outlives),
    Escape("outlive its timeout, deaf to all signals", IGNORE_SIGNALS.replace("{outlive}", OUTLIVE), _outlives,
           {"timeout": 1_000}),
]  # fmt: skip

TO_THE_BROKER = [
    Escape("to the broker", CONNECT, says("connected"), place="broker"),
    Escape("to the broker with the way to the API", CONNECT, says("connected"), {"verdict": "record"}, "broker"),
]


def attempt(host: Host, escape: Escape) -> Exited:
    """Try it; the report."""
    script = escape.script.format(
        place=host.places.get(escape.place),
        folder=str(host.folder),
        secret=host.secret,
        processes=PROCESSES,
    )
    host.bench.site.processes = PROCESSES
    return host.bench.run("python3", "-c", script, code=host.code, **escape.fields)
