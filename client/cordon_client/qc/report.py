"""The local quality-control report: one self-contained page, and the same data beside it.

No network, no clock, no host or file name: equal input gives equal bytes. The page works without
its one small script, which searches, filters and sorts the tables; the policy of the page lets no
other script run.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from cordon_client.qc.cohort_page import cohort_page, pieces_of
from cordon_client.qc.side_files import side_files
from cordon_client.qc.study_page import study_page
from cordon_common.canonical import canonical_bytes
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.canonical import Json

HTML_NAME, JSON_NAME = "qc-report.html", "qc-report.json"

_WORDS = {
    "pass": "pass",
    "warn": "look at it",
    "fail": "fail",
    "error": "could not be checked",
    "not_applicable": "nothing to check",
}
_LONG_WORD = 20
_MARKS = {"pass": "✓", "warn": "!", "fail": "✕", "error": "?", "not_applicable": "–"}  # noqa: RUF001


def write_report(folder: Path, value: dict[str, Json]) -> Path:
    """Write the page of a `report_value` or `cohort_value`, and the data; returns the page's path.

    Guarantee: each file is replaced at once or not at all.

    Raises:
        SystemFault: SY001 when the disk is full, SY010 when the folder cannot be written.
    """
    write_private(folder / JSON_NAME, canonical_bytes(value))
    for name, data in side_files(value).items():
        write_private(folder / name, data)
    page = folder / HTML_NAME
    write_private(page, report_html(value).encode())
    return page


def report_html(value: dict[str, Json]) -> str:
    """Render a report's value as one HTML page."""
    if value["kind"] == "qc-report.v1":
        name, facts = "study.html.j2", study_page(value)
    else:
        name, facts = "cohort.html.j2", cohort_page(value)
    script = _template("report.js")
    return (
        _environment()
        .get_template(name)
        .render(
            css=Markup(_template("report.css")),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            script_hash=_csp_hash(script),
            words=_WORDS,
            marks=_MARKS,
            **facts,
        )
    )


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"breakable": breakable, "breakable_words": breakable_words}
    return environment


def breakable(name: str) -> Markup:
    """Let a long name break after _ - . and /, and so not in the middle of a word."""
    return Markup("<wbr>").join(pieces_of(name))


def breakable_words(text: str) -> Markup:
    """Let the long words of a sentence, mostly names, break as names do; numbers stay whole."""
    words = (breakable(w) if len(w) > _LONG_WORD else w for w in text.split(" "))
    return Markup(" ").join(words)


def _template(name: str) -> str:
    return (files("cordon_client.qc") / "templates" / name).read_text("utf-8")


def _csp_hash(script: str) -> str:
    """Name the only script that the page may run (Content Security Policy 3, section 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def write_private(path: Path, data: bytes) -> None:
    """Write a file of the report, for its owner alone, at once or not at all.

    Raises:
        SystemFault: SY001 when the disk is full, SY010 when the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_bytes(data)
        temporary.chmod(0o600)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise SystemFault("SY001" if full else "SY010") from None
