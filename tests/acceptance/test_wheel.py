"""The wheel, built and installed in a fresh environment, is the whole application."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

PACKAGES = ("schemas", "coordinator", "streams", "store", "readmodel", "consumers", "gateway")


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", ".*", "tests", "build", "dist", "*.egg-info")
    shutil.copytree(CHECKOUT, folder / "source", ignore=ignore)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist"]
    _run(*build, cwd=folder / "source")
    return next((folder / "dist").glob("crunch_reuse-*.whl"))


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    held = {name for name in names if name.split("/")[0] in PACKAGES}
    paths = [path for package in PACKAGES for path in (CHECKOUT / package).rglob("*")]
    expected = {str(path.relative_to(CHECKOUT)) for path in paths if path.is_file() and path.suffix != ".pyc"}
    assert held == expected
    others = {name for name in names if name.split("/")[0] not in PACKAGES and ".dist-info/" not in name}
    assert all(".data/data/share/crunch-reuse/examples/" in name for name in others), others


def test_the_installed_command_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    _run(sys.executable, "-m", "virtualenv", "--no-periodic-update", environment, cwd=tmp_path)
    install = [environment / "bin" / "python", "-m", "pip", "install", "--no-input", "-c", CHECKOUT / "constraints.txt"]
    _run(*install, wheel, cwd=tmp_path)
    assert "submit" in _run(environment / "bin" / "crunch-reuse", "--help", cwd=tmp_path)
    where = "import gateway, sys; assert gateway.__file__.startswith(sys.prefix), gateway.__file__"
    _run(environment / "bin" / "python", "-c", where, cwd=tmp_path)
