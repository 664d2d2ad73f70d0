"""Create `.venv` with exactly the pinned packages and the three distributions, editable.

Standard library only: it runs on the bare interpreter that a fresh machine has. The work is
skipped while nothing that it depends on has changed. Several gigabytes of CUDA packages never
arrive by accident: which build of torch would come is asked first.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
if sys.version_info < OLDEST_PYTHON:
    sys.exit(
        "Cordon needs Python 3.11 or newer, this is {}.{}. Name another one: "
        "make install PYTHON=python3.12".format(*sys.version_info[:2])
    )

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = ("common", "client", "server")
FREE_BYTES = 3 * 1024**3
CUDA_NAME = re.compile(r"^(nvidia[-_.].*|cuda[-_.].*|triton)$", re.IGNORECASE)


class InstallError(Exception):
    """Why the environment could not be made, in words for the person who asked for it."""


def say(text: str) -> None:
    """Tell the person what happens, on stderr."""
    print(text, file=sys.stderr, flush=True)


def fingerprint(root: Path, python: str) -> str:
    """Digest of all that the environment depends on: pins, projects, place and interpreter."""
    digest = hashlib.sha256(f"{root}\n{python}\n".encode())
    sources = ["constraints.txt", "pyproject.toml", "tools/install.py"]
    sources += [f"{project}/pyproject.toml" for project in PROJECTS]
    for name in sources:
        content = (root / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def pin_of(name: str, constraints: str) -> str:
    """The line of the constraints file that pins `name`, as pip takes it.

    Raises: InstallError if there is none.
    """
    found = re.search(rf"^{re.escape(name)}==\S+$", constraints, flags=re.MULTILINE)
    if found is None:
        message = f"constraints.txt does not pin {name}"
        raise InstallError(message)
    return found.group(0)


def cuda_packages(report: dict[str, object]) -> list[str]:
    """Names of the CUDA packages that pip's installation report would install.

    Source: the pip installation report, format version 1.
    """
    items = report.get("install", [])
    assert isinstance(items, list)  # noqa: S101 - the format says so
    names = [str(item["metadata"]["name"]) for item in items]
    return sorted(name for name in names if CUDA_NAME.match(name))


def require_machine(venv: Path) -> None:
    """Refuse early, in plain words, where the installation could not succeed.

    Raises: InstallError if Python's venv module, pip's bundle or the disk space is missing.
    """
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        message = (
            "this Python has no venv module. On Debian or Ubuntu it is its own package: "
            "apt-get install python3-venv"
        )
        raise InstallError(message)
    free = shutil.disk_usage(venv.parent).free
    if not venv.exists() and free < FREE_BYTES:
        message = f"the environment needs about 2 GB, {free / 1024**3:.1f} GB are free"
        raise InstallError(message)


class Environment:
    """The virtual environment under the workspace, and pip inside it."""

    def __init__(self, root: Path, torch_find_links: str) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.stamp = self.venv / "cordon-install.json"
        self.find_links = ["--find-links", torch_find_links] if torch_find_links else []

    def is_current(self, wanted: str) -> bool:
        """Whether a finished installation of exactly this fingerprint is in place."""
        try:
            recorded = json.loads(self.stamp.read_text())["fingerprint"]
        except (OSError, ValueError, KeyError):
            return False
        return bool(recorded == wanted and (self.venv / "bin" / "cordon").exists())

    def create(self) -> None:
        """Make the environment; one whose interpreter no longer starts is made anew."""
        if self.python.exists() and self._starts():
            return
        self._run([sys.executable, "-m", "venv", "--clear", str(self.venv)], "creating .venv")

    def _starts(self) -> bool:
        probe = [str(self.python), "-c", "import pip, sys; print(sys.version_info[:2])"]
        answer = subprocess.run(probe, capture_output=True, text=True, check=False)
        return answer.returncode == 0 and answer.stdout.strip() == str(sys.version_info[:2])

    def pip_install(self, arguments: list[str], doing: str) -> None:
        """Install under the constraints; pip's own words are shown only if it fails."""
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--constraint", "constraints.txt"]
        self._run([*command, *self.find_links, *arguments], doing)

    def _run(self, command: list[str], doing: str) -> None:
        answer = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            message = f"{doing} failed:\n{answer.stdout}{answer.stderr}"
            raise InstallError(message)

    def refuse_cuda(self, torch: str) -> None:
        """Ask pip which build of torch would come, before anything of it is downloaded.

        Raises: InstallError if CUDA packages would come with it.
        """
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            self.pip_install(
                ["--dry-run", "--report", str(report), torch], "asking for the build of torch"
            )
            found = cuda_packages(json.loads(report.read_text()))
        if found:
            message = (
                f"the only {torch} offered here is the CUDA build: it brings {len(found)} more "
                f"packages ({found[0]} …), several GB that Cordon does not need.\n"
                "  For the CPU build, name a folder or a page that holds its wheel:\n"
                "      make install TORCH_FIND_LINKS=<folder or address>\n"
                "  To take the CUDA build all the same:\n"
                "      make install ALLOW_CUDA=1"
            )
            raise InstallError(message)


def install(environment: Environment, *, allow_cuda: bool) -> None:
    """Bring the environment to the pinned state, one stage after the other."""
    constraints = (environment.root / "constraints.txt").read_text()
    say("1/4 a virtual environment in .venv")
    environment.create()
    environment.pip_install([pin_of("pip", constraints)], "updating pip")
    say("2/4 which build of torch is offered here")
    if not allow_cuda:
        environment.refuse_cuda(pin_of("torch", constraints))
    say("3/4 the build backend")
    environment.pip_install(
        [pin_of("hatchling", constraints), pin_of("editables", constraints)],
        "installing the build backend",
    )
    say("4/4 the pinned packages and Cordon itself, editable (some minutes the first time)")
    arguments = ["--no-build-isolation", "--group", "dev"]
    for project in ("./common", "./client[gateway,vault,omics,cluster]", "./server[demo,postgres]"):
        arguments += ["--editable", project]
    environment.pip_install(arguments, "installing the packages")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; the Makefile's variables arrive through the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-find-links", default=os.environ.get("TORCH_FIND_LINKS", ""))
    parser.add_argument(
        "--allow-cuda", action="store_true", default=os.environ.get("ALLOW_CUDA") == "1"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Install unless nothing changed; 0 if the environment is as pinned."""
    asked = parse_arguments(arguments)
    environment = Environment(ROOT, asked.torch_find_links)
    wanted = fingerprint(ROOT, sys.version)
    if environment.is_current(wanted):
        return 0
    started = time.monotonic()
    try:
        require_machine(environment.venv)
        environment.stamp.unlink(missing_ok=True)
        install(environment, allow_cuda=asked.allow_cuda)
    except InstallError as failure:
        say(f"make install: {failure}")
        return 1
    environment.stamp.write_text(json.dumps({"fingerprint": wanted}) + "\n")
    say(f"installed in {time.monotonic() - started:.0f} s; the command is .venv/bin/cordon")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
