"""What `cordon site qc` shows of a cohort: one table of samples per modality, then the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cordon_client.qc.cohort_page import amount, pieces_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cordon_common.canonical import Json

_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "error": "bold red"}
_SHOWN_SAMPLES, _SHOWN_FINDINGS, _SHOWN_COLUMNS, _SHOWN_NAMES = 20, 25, 5, 6
_SHOWN_SAMPLE_NAMES, _LONGEST_NAME = 3, 23
_TOGETHER = "all samples together"
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
        unread = value["unread_files"]
        words = "file in no known format was" if unread == 1 else "files in no known format were"
        head.append(f"; {unread} {words} not read")
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
        table.add_row(_short(sample["sample"]), Text(word, style=style), *numbers)
    hidden = len(ranked) - _SHOWN_SAMPLES
    if hidden > 0:
        table.caption = f"{hidden} more samples are in the full report"
        table.caption_justify = "left"
    return table


def _short(name: str) -> str:
    """Keep the last pieces of a long name: its folders are what samples have in common."""
    pieces, kept = pieces_of(name), ""
    while pieces and len(pieces[-1]) + len(kept) <= _LONGEST_NAME:
        kept = pieces.pop() + kept
    return f"…{kept or name[-_LONGEST_NAME:]}" if pieces else name


def number(value: float | None, digits: int) -> str:
    """Write a number of the table; what could not be assessed is a dash, never 0."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _findings(part: Json) -> RenderableType:
    """List what did not pass: each finding once, with the samples it is about, the worst first."""
    rows = [(sample["sample"], r) for sample in part["samples"] for r in sample["results"]]
    rows += [(_TOGETHER, r) for r in part["cohort"]["results"]]
    found: dict[tuple[bool, str, str], list[tuple[str, Json]]] = {}
    for who, result in rows:
        if result["severity"] in _NOTABLE:
            key = (who is _TOGETHER, result["check"], result["severity"])
            found.setdefault(key, []).append((who, result))
    if not found:
        return Text("no findings", style="green")
    checks = {check["check"]: check for check in part["checks"]}
    table = Table(
        box=box.SIMPLE_HEAD, title="Findings", title_justify="left", show_header=False, padding=0
    )
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    ordered = sorted(found.items(), key=lambda item: (_NOTABLE.index(item[0][2]), -len(item[1])))
    for (_, check, severity), lines in ordered[:_SHOWN_FINDINGS]:
        words = Text(f"{checks[check]['title']}: {_who(lines, len(part['samples']))}")
        told = _told(lines, checks)
        if told:
            words.append(f"\n{told}", style="dim")
        table.add_row(Text(f"{severity}  ", style=_STYLES[severity]), words)
    if len(found) > _SHOWN_FINDINGS:
        table.caption = f"{len(found) - _SHOWN_FINDINGS} more findings are in the full report"
        table.caption_justify = "left"
    return table


def _who(lines: list[tuple[str, Json]], samples: int) -> str:
    """Name the samples of a finding: all of them when they are few, else how many and the first."""
    names = list(dict.fromkeys(who for who, _ in lines))
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:_SHOWN_SAMPLE_NAMES])
    more = len(names) - _SHOWN_SAMPLE_NAMES
    return f"{len(names)} of {samples} samples: {shown}" + (f" and {more} more" if more > 0 else "")


def _told(lines: list[tuple[str, Json]], checks: dict[str, Json]) -> str:
    """Say once what all lines say; else the subjects of one sample, or the worst sample's line."""
    details = {_line(result, checks) for _, result in lines}
    if len(details) == 1:
        return details.pop()
    if len({who for who, _ in lines}) == 1:
        names = [result["subject"] or _line(result, checks) for _, result in lines]
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        return f"{len(names)} times: {', '.join(names[:_SHOWN_NAMES])}{more}"
    sign = 1 if checks[lines[0][1]["check"]]["worse"] == "higher" else -1
    who, result = max(lines, key=lambda line: sign * (line[1]["value"] or 0))
    return f"such as {who}: {_line(result, checks)}"


def _line(result: Json, checks: dict[str, Json]) -> str:
    """Write a judgement's own words; where it has none, what was measured."""
    subject = f"{result['subject']}: " if result["subject"] else ""
    return f"{subject}{result['detail'] or amount(result, checks)}".removesuffix(": ")
