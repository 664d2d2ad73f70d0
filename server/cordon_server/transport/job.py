"""The code-free Flower job as a bundle (FAB)."""

from pathlib import Path

from flwr.cli.build import build_fab_from_files

from cordon_common.errors import UsageError

JOB_FILES = ("pyproject.toml", "LICENSE", "README.md")


def build_job(folder: Path) -> bytes:
    """Bundle the job's three files; equal files give equal bytes, and no other file can get in.

    Raises:
        UsageError: US002 when a file is missing, US001 when Flower does not accept the job.
    """
    files = {name: folder / name for name in JOB_FILES}
    for name, path in files.items():
        if not path.is_file():
            raise UsageError("US002", why=f"{name} of the Flower job")
    try:
        bundle, _metadata = build_fab_from_files(files)
    except ValueError as error:
        raise UsageError("US001", "the Flower job is not valid", why=str(error)) from None
    return bundle
