"""Each wheel holds its one package, whole, and nothing beside it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("common", "client", "server")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Side → names inside its wheel, built offline by the installed backend."""
    folder = tmp_path_factory.mktemp("wheels")
    for side in SIDES:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            cwd=ROOT / side,
            check=True,
            capture_output=True,
        )
    found = {}
    for side in SIDES:
        (wheel,) = folder.glob(f"cordon_{side}-*.whl")
        found[side] = set(zipfile.ZipFile(wheel).namelist())
    return found


def published(side):
    """Files of a package that are, or are about to be, under version control."""
    package = f"{side}/cordon_{side}"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", package],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.splitlines()
    return {name.removeprefix(f"{side}/") for name in names if (ROOT / name).is_file()}


@pytest.mark.parametrize("side", SIDES)
def test_a_wheel_holds_only_its_package_and_its_metadata(wheels, side):
    tops = {name.split("/")[0] for name in wheels[side]}
    info = {top for top in tops if top.endswith(".dist-info")}
    assert len(info) == 1
    assert tops - info == {f"cordon_{side}"}


@pytest.mark.parametrize("side", SIDES)
def test_a_wheel_holds_every_file_of_its_package(wheels, side):
    package = {name for name in wheels[side] if name.startswith(f"cordon_{side}/")}
    assert package == published(side)
    assert f"cordon_{side}/py.typed" in package
