"""What `cordon site qc` shows of a cohort: one table of samples per modality, then the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cordon_common.canonical import Json

_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "error": "bold red"}
_SHOWN_SAMPLES, _SHOWN_FINDINGS, _SHOWN_COLUMNS, _SHOWN_NAMES = 20, 25, 5, 6
_NOTABLE = ("error", "fail", "warn")


def cohort_view(value: dict[str, Json]) -> RenderableType:
    """Show the verdict, the samples and what did not pass."""
    severity = value["severity"]
    head = Text.assemble(
        "quality control: ",
        (severity, _STYLES.get(severity, "")),
        f"; {value['kept']} of {value['samples']} samples kept",
    )
    if value["unread_files"]:
        head.append(f"; {value['unread_files']} files in no known format were not read")
    parts: list[RenderableType] = [head]
    for part in value["parts"]:
        parts += [_samples(part), _findings(part)]
    return Group(*parts)


def _samples(part: Json) -> RenderableType:
    columns = part["columns"][:_SHOWN_COLUMNS]
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{part['title']} ({part['profile']})", title_justify="left"
    )
    table.add_column("sample", overflow="fold")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column["title"], justify="right", overflow="fold")
    ranked = sorted(part["samples"], key=lambda s: (not s["excluded"], s["severity"] == "pass"))
    for sample in ranked[:_SHOWN_SAMPLES]:
        word = "left out" if sample["excluded"] else sample["severity"]
        style = _STYLES.get(sample["severity"], "")
        numbers = [number(sample["stats"].get(c["key"]), c["digits"]) for c in columns]
        table.add_row(sample["sample"], Text(word, style=style), *numbers)
    hidden = len(ranked) - _SHOWN_SAMPLES
    if hidden > 0:
        table.caption = f"{hidden} more samples are in the full report"
        table.caption_justify = "left"
    return table


def number(value: float | None, digits: int) -> str:
    """Write a number of the table; what could not be assessed is a dash, never 0."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _findings(part: Json) -> RenderableType:
    """List what did not pass, one line per sample and check, the worst first."""
    rows = [(sample["sample"], r) for sample in part["samples"] for r in sample["results"]]
    rows += [("all samples", r) for r in part["cohort"]["results"]]
    found: dict[tuple[str, str, str], list[Json]] = {}
    for who, result in rows:
        if result["severity"] in _NOTABLE:
            found.setdefault((who, result["check"], result["severity"]), []).append(result)
    if not found:
        return Text("no findings", style="green")
    titles = {check["check"]: check["title"] for check in part["checks"]}
    table = Table(box=box.SIMPLE_HEAD, title="Findings", title_justify="left")
    table.add_column("where", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("not held", overflow="fold")
    ordered = sorted(found.items(), key=lambda item: _NOTABLE.index(item[0][2]))
    for (who, check, severity), results in ordered[:_SHOWN_FINDINGS]:
        words = f"{titles[check]}. {_told(results)}".strip()
        table.add_row(who, Text(severity, style=_STYLES[severity]), words)
    if len(found) > _SHOWN_FINDINGS:
        table.caption = f"{len(found) - _SHOWN_FINDINGS} more findings are in the full report"
        table.caption_justify = "left"
    return table


def _told(results: list[Json]) -> str:
    """Say one finding in full, or name the subjects of many."""
    if len(results) == 1:
        subject = f"{results[0]['subject']}: " if results[0]["subject"] else ""
        return f"{subject}{results[0]['detail']}"
    names = [result["subject"] or result["detail"] for result in results]
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return f"{len(names)} times: {', '.join(names[:_SHOWN_NAMES])}{more}"
