"""A PostgreSQL cluster of the tests' own, on a unix socket in a temporary folder, gone afterwards."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest


@cache
def _programs():
    """The folder of PostgreSQL's server programs, the newest installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _as_owner(folder, command):
    """PostgreSQL refuses to run as root; its own account does then."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [*prefix, *command], check=True, capture_output=True, cwd=folder, env=environment
    )


@contextlib.contextmanager
def open_postgres():
    """Give the URL of an empty database; the cluster is ended and removed at the end."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="cordon-pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        init = [programs / "initdb", "-D", data, "-A", "trust", "-U", "cordon", "--no-sync"]
        _as_owner(folder, [*init, "-E", "UTF8", "--locale=C.UTF-8"])
        control = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        _as_owner(folder, [*control, "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://cordon@/postgres?host={folder}"
        finally:
            _as_owner(folder, [*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
