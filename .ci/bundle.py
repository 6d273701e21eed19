"""`./run bundle [FOLDER]`: everything that a machine without a network needs, in one archive for this kind of machine.

In it are wheels of all that is required at their pinned versions, our own among them; `install`, which makes an
environment of them; a bill of materials (CycloneDX), with each wheel's licence and SHA-256; and SHA256SUMS of all.
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


def main(target: Path) -> int:
    """Write the archive into `target`; its name is printed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"{project['name']}-{project['version']}-{sys.platform}-{platform.machine()}-{python}"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bundle-") as scratch:
        folder = Path(scratch) / name
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        _collect(project, wheels, Path(scratch))
        own = Component(name=project["name"], version=project["version"], type=ComponentType.APPLICATION)
        (folder / "sbom.json").write_text(bill(own, sorted(wheels.glob("*.whl"))))
        _write_script(folder / "install", INSTALL.format(python=python, version=project["version"]))
        _write_sums(folder)
        archive = target / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as file:
            file.add(folder, name)
    print(archive)
    return 0


def _collect(project: dict, wheels: Path, scratch: Path) -> None:
    """Our wheel, made of a copy of the checkout, and those of all that it requires."""
    source = scratch / "source"
    hidden = shutil.ignore_patterns("__pycache__", ".*", "tests", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=hidden)
    _call("-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, source)
    required = [*project["dependencies"], *project["optional-dependencies"]["views"]]
    (scratch / "required.txt").write_text("\n".join(required) + "\n")
    pip = ["-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
    _call(*pip, "--dest", wheels, "-c", ROOT / "constraints.txt", "-r", scratch / "required.txt")


def _call(*words: str | Path) -> None:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bundle: {words[1]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


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
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
