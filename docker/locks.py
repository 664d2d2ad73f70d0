"""Write the hash-locked requirements of every image: what its wheelhouse must hold, and no more.

    python docker/locks.py [IMAGE...]      writes docker/locks/IMAGE.txt

The versions come from `constraints.txt`, the sets from the three distributions' own extras. Run it
with the working environment's interpreter after a dependency changed on purpose; a test compares
the locks with the pins.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "docker" / "locks"
OWN = frozenset({"cordon-common", "cordon-client", "cordon-server"})

# Flower declares it for run-time installation of a job's requirements, which is off everywhere.
_INSTALLERS = frozenset({"uv", "pip", "setuptools"})
# The accountants and the reports of `cordon-common`, Flower's database and Flower's server:
# a gateway imports none of them (tests/meta/test_import_budgets.py), so its image holds none.
_NOT_IN_A_GATEWAY = frozenset(
    {
        "absl-py", "alembic", "attrs", "dm-tree", "dp-accounting", "greenlet", "mako", "mpmath",
        "pillow", "reportlab", "scipy", "sqlalchemy", "wrapt",
        "httptools", "python-dotenv", "uvicorn", "uvloop", "watchfiles", "websockets",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """What one image installs: projects of the workspace, without some packages."""

    projects: tuple[str, ...]
    without: frozenset[str] = _INSTALLERS
    cuda: bool = False


IMAGES = {
    "gateway": Image(("common", "client[gateway]"), _INSTALLERS | _NOT_IN_A_GATEWAY),
    "vault": Image(("common", "client[vault]")),
    "vault-omics": Image(("common", "client[vault,omics]")),
    "vault-cuda": Image(("common", "client[vault]"), cuda=True),
    "coordinator": Image(("common", "server[postgres]")),
}


@dataclass(frozen=True)
class Pinned:
    """One wheel: name, exact version (local part included), SHA-256 of the file."""

    name: str
    version: str
    sha256: str

    @property
    def line(self) -> str:
        """The line that pip's `--require-hashes` takes."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def normalised(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(image: Image) -> list[Pinned]:
    """Ask pip what it would install, without installing or changing anything."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += [
            "--quiet",
            "--no-build-isolation",
            "--only-binary=:all:",
            "--report",
            str(report),
        ]
        if image.cuda:  # the index's own build of torch, not one that this machine prefers
            command += ["--isolated"]
        command += ["-c", "constraints.txt", *(f"./{project}" for project in image.projects)]
        subprocess.run(command, cwd=ROOT, check=True)
        return pinned(json.loads(report.read_text()), image.without)


def pinned(report: dict[str, list[dict[str, dict]]], without: frozenset[str]) -> list[Pinned]:
    """Read pip's installation report, format version 1; own packages are built, not fetched."""
    found = []
    for item in report["install"]:
        name = normalised(item["metadata"]["name"])
        if name in OWN or name in without:
            continue
        hashes = item["download_info"]["archive_info"]["hashes"]
        found.append(Pinned(name, item["metadata"]["version"], hashes["sha256"]))
    return sorted(found, key=lambda each: each.name)


def main(names: list[str]) -> None:
    """Write the named locks, or all of them."""
    for name in names or list(IMAGES):
        lines = [each.line for each in resolve(IMAGES[name])]
        header = f"# The wheels of the {name} image; written by `python docker/locks.py`.\n"
        (LOCKS / f"{name}.txt").write_text(header + "\n".join(lines) + "\n")
        print(f"{name}: {len(lines)} wheels", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
