"""An image as a site that runs Crunch scripts has it: Python as `python`, and the Arvados SDK where it looks for it."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from tests.support.arvados_sdks import JOBS, sdk_folder

NAME = "crunch-reuse-tests-crunch"
_DOCKERFILE = "FROM {base}\nCOPY root/ /\n"
_VERSION = ["python3", "-c", "import sys; print(*sys.version_info[:2])"]


@contextmanager
def crunch_image(engine: str, base: str, version: str = JOBS) -> Iterator[str]:
    """Name of such an image, made in `engine` from the image `base` that has Python 3; removed at the end."""
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        said = client.containers.run(base, _VERSION, remove=True, network_mode="none")
        major, minor = map(int, said.split())
        image, _ = client.images.build(fileobj=_context(base, version, (major, minor)), custom_context=True, tag=NAME)
        yield NAME
        client.images.remove(image.id, force=True)
    finally:
        client.close()


def _context(base: str, version: str, python: tuple[int, int]) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        text = _DOCKERFILE.format(base=base).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
        link = tarfile.TarInfo("root/usr/local/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        archive.addfile(link)
        archive.add(sdk_folder(version, python), "root/usr/lib/python3/dist-packages", filter=_roots)
    made.seek(0)
    return made


def _roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mode |= 0o444 | (0o111 if entry.isdir() else 0)
    return entry
