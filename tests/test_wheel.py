"""The wheel: what people install has every script, and finds it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from llm_fleet.engine.scripts import load_script, lua_folder, script_names

ROOT = Path(__file__).parent.parent

LOAD = """
import json
from llm_fleet.engine.scripts import load_script, lua_folder, script_names
print(json.dumps([str(lua_folder()), {name: load_script(name).sha for name in script_names()}]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh virtual environment with the wheel; dependencies are borrowed from ours."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    python = venv / "bin" / "python"
    if uv := shutil.which("uv"):
        run(uv, "venv", "--quiet", "--offline", "--python", sys.executable, str(venv))
        run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel))
    else:
        run(sys.executable, "-m", "venv", "--without-pip", str(venv))
        pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check")
        run(*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    packages = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(packages, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_script_loads_from_the_wheel(installed: Path) -> None:
    """In a fresh virtual environment each script is there, byte for byte as in the checkout."""
    folder, shas = json.loads(run(str(installed), "-I", "-c", LOAD))
    assert Path(folder).is_relative_to(installed.parent.parent)
    assert shas == {name: load_script(name).sha for name in script_names()}
    assert shas


def test_the_checkout_uses_its_own_scripts() -> None:
    """An editable install reads lua/ of the checkout, not a copy of it."""
    assert lua_folder() == ROOT / "lua"


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    """Types are marked, the command is there, and no test or benchmark is."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "llm_fleet/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"llm_fleet"}


def test_the_command_is_installed(installed: Path) -> None:
    """`llm-fleet` is a command of the environment."""
    assert (installed.parent / "llm-fleet").is_file()
