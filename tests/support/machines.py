"""Small machines to try `./run` on: a Python without its comforts, a PATH with next to nothing, a package mirror."""

import importlib.util
import os
import shutil
import ssl
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

# All that ./run asks of a system beside /bin/sh and Python.
TOOLS = ("cat", "cksum", "date", "find", "grep", "ln", "ls", "mkdir", "mv", "readlink", "rm", "sed", "uname")
VERSION = f"python3.{sys.version_info[1]}"
MANAGED = "[externally-managed]\nError=Packages here belong to the system.\n"


def bare_python(prefix: Path) -> Path:
    """A real interpreter under `prefix`, as Debian ships it: pip, but no venv, no ensurepip, externally managed."""
    base = Path(os.path.realpath(sys._base_executable))
    library, original = prefix / "lib", base.parent.parent / "lib"
    interpreter = prefix / "bin" / VERSION
    interpreter.parent.mkdir(parents=True)
    shutil.copy2(base, interpreter)
    _link_all(original, library, lambda name: name.startswith("libpython"))
    unwanted = ("venv", "ensurepip", "site-packages", "dist-packages", "EXTERNALLY-MANAGED")
    _link_all(original / VERSION, library / VERSION, lambda name: name not in unwanted)
    (library / VERSION / "EXTERNALLY-MANAGED").write_text(MANAGED)
    _give_pip(library / VERSION / "site-packages")
    _give_pip(library / "python3" / "dist-packages")  # where Debian's own build looks
    return interpreter


def _link_all(source: Path, target: Path, wanted) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if wanted(entry.name):
            (target / entry.name).symlink_to(entry)


def _give_pip(packages: Path) -> None:
    spec = importlib.util.find_spec("pip")
    assert spec is not None, "pip is one of this project's dev requirements"
    assert spec.origin is not None
    packages.mkdir(parents=True)
    (packages / "pip").symlink_to(Path(spec.origin).parent)


def path_of(folder: Path, **commands: Path) -> str:
    """A PATH of one folder: the tools of every system, and `commands` by name."""
    folder.mkdir(parents=True)
    for name in TOOLS:
        found = shutil.which(name)
        assert found, f"{name} is on every system"
        (folder / name).symlink_to(found)
    for name, target in commands.items():
        (folder / name).symlink_to(target)
    return str(folder)


def wheelhouse(folder: Path, name: str, script: Path | None = None) -> Path:
    """A package mirror in a folder, with a wheel of `name` 1.0: one module of that name, or `script` as a command."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        if script is None:
            wheel.writestr(content := f"{name}.py", "ANSWER = 42\n")
        else:
            wheel.write(script, content := f"{name}-1.0.data/scripts/{name}")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{content},,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder


class _Index(SimpleHTTPRequestHandler):
    """A package index, asked for by path, or by whole URLs as proxies are."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(urlsplit(path).path)

    def log_message(self, *_: object) -> None:
        """Who asks is no news."""


@contextmanager
def index_of(mirror: Path, name: str, certificate: Path | None = None) -> Iterator[str]:
    """Serve a folder's wheel of `name` as a package index below /simple, over TLS with a certificate: its URL."""
    page = mirror / "simple" / name / "index.html"
    page.parent.mkdir(parents=True)
    [wheel] = mirror.glob(f"{name}-*.whl")
    page.write_text(f'<!DOCTYPE html><html><body><a href="/{wheel.name}">{wheel.name}</a></body></html>')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=mirror)) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
