"""`./run bundle [FOLDER]`: everything that a machine without a network needs, in one archive for this kind of machine.

In it are wheels of all that is required at their pinned versions, our own among them; `install`, which makes an
environment of them; a bill of materials (CycloneDX), with each wheel's licence and SHA-256; and SHA256SUMS of all.
The archive appears whole or not at all; why there is none is said in one line.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import HeaderParser
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
INSTALL = """#!/bin/sh
# Makes an environment in FOLDER of what is beside this file. No network is used. Needs {python} with its venv module.
set -eu
folder=${{1:?usage: install FOLDER}}
here=$(cd "$(dirname "$0")" && pwd)
(cd "$here" && sha256sum --check --quiet SHA256SUMS)
{python} -m venv "$folder"
"$folder/bin/python" -m pip install --no-input --disable-pip-version-check --no-index --find-links "$here/wheels" \\
    'crunch-reuse[views]=={version}'
echo "installed: $folder/bin/crunch-reuse up"
"""
NO_PLACE = "can't work in the folder for temporary files (TMPDIR names another)"
CAUSES = ("[Errno ", "connection broken", "ERROR", "Error")  # what the line has that tells most, of all that pip says
ADVICE = {
    "pip": "can't fetch what is required (is there a network, and room?)",
    "build": "can't make our own wheel",
}


class NoBundle(Exception):
    """Why there is none, and what to do; one line."""


def main(target: Path) -> int:
    """Write the archive into `target`; its name is printed. Raises NoBundle."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"{project['name']}-{project['version']}-{sys.platform}-{platform.machine()}-{python}"
    archive = target / f"{name}.tar.gz"
    with appearing(archive) as partial, scratch() as place:
        folder = place / name
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        _collect(project, wheels, place)
        own = Component(name=project["name"], version=project["version"], type=ComponentType.APPLICATION)
        (folder / "sbom.json").write_text(bill(own, sorted(wheels.glob("*.whl"))))
        _write_script(folder / "install", INSTALL.format(python=python, version=project["version"]))
        _write_sums(folder)
        pack(folder, partial)
    print(archive)
    return 0


@contextmanager
def appearing(archive: Path) -> Iterator[Path]:
    """A file that becomes `archive` when the context ends well, and is nowhere else. Raises NoBundle."""
    partial = archive.with_name(f".{archive.name}.partial")
    if archive.exists():
        raise NoBundle(f"{archive} is there already: move it away, or name another folder")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise NoBundle(f"can't write into {archive.parent}: {error.strerror}; name another folder") from error
    try:
        yield partial
        partial.rename(archive)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder to work in, for as long as the context lasts. Raises NoBundle where it does not take what is written."""
    try:
        with tempfile.TemporaryDirectory(prefix="crunch-reuse-bundle-") as name:
            yield Path(name)
    except shutil.Error as error:  # copytree's: a list of them
        raise NoBundle(f"{NO_PLACE}: {error.args[0][0][2]}") from error
    except OSError as error:
        raise NoBundle(f"{NO_PLACE}: {error.strerror}") from error


def pack(folder: Path, file: Path) -> None:
    """Write the folder, by its own name, as an archive. Raises NoBundle."""
    try:
        with tarfile.open(file, "w:gz") as archive:
            archive.add(folder, folder.name)
    except OSError as error:
        said = f"{error.strerror}; make room, or name another folder"
        raise NoBundle(f"can't write the archive into {file.parent}: {said}") from error


def _collect(project: dict, wheels: Path, place: Path) -> None:
    """The wheels of all that is required, and our own, made of a copy of the checkout."""
    required = [*project["dependencies"], *project["optional-dependencies"]["views"]]
    (place / "required.txt").write_text("\n".join(required) + "\n")
    pip = ["pip", "download", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
    _call(*pip, "--dest", wheels, "-c", ROOT / "constraints.txt", "-r", place / "required.txt")
    source = place / "source"
    hidden = shutil.ignore_patterns("__pycache__", ".*", "tests", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=hidden)
    _call("build", "--wheel", "--no-isolation", "--outdir", wheels, source)


def _call(module: str, *words: str | Path) -> None:
    """Run a module. Raises NoBundle with the line in which it says what is wrong."""
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    said = (done.stdout + done.stderr).splitlines()
    found = [line for mark in CAUSES for line in reversed(said) if mark in line]
    raise NoBundle(f"{module} {ADVICE[module]}: {found[0].strip() if found else f'exit code {done.returncode}'}")


def bill(application: Component, wheels: list[Path]) -> str:
    """The bill of materials of an application that is made of these wheels, as CycloneDX 1.6 JSON."""
    parts = [_component(wheel) for wheel in wheels]
    bom = Bom(components=parts)
    bom.metadata.component = application
    bom.register_dependency(application, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _component(wheel: Path) -> Component:
    with zipfile.ZipFile(wheel) as content:
        [place] = [name for name in content.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
        said = HeaderParser().parsestr(content.read(place).decode("utf-8", "replace"))
    licence = said["License-Expression"] or said["License"] or ""
    name, version = said["Name"], said["Version"]
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", name=name.lower().replace("_", "-"), version=version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_digest(wheel))],
        licenses=[DisjunctiveLicense(name=licence.splitlines()[0][:100])] if licence.strip() else [],
    )


def _write_sums(folder: Path) -> None:
    sums = "".join(f"{_digest(path)}  {path.relative_to(folder)}\n" for path in _files(folder))
    (folder / "SHA256SUMS").write_text(sums)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
    except NoBundle as error:
        sys.exit(f"bundle: {error}")
