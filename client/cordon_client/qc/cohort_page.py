"""What the page of a cohort shows: rows, strips, grouped findings, and plots over all samples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cordon_client.qc.plots import NOT_ASSESSABLE, draw

if TYPE_CHECKING:
    from cordon_common.canonical import Json

_NOTABLE = ("error", "fail", "warn")
_RANK = {"error": 0, "fail": 1, "warn": 2, "pass": 3, "not_applicable": 4}
_LINES_PER_FINDING = 12
_OVERLAID, _SHOWN_SAMPLES, _LEGEND = 80, 4, 8
_WIDEST_NAME = 26
"""Characters: where a piece of a name is longer, it is broken as a last resort."""
_BREAKS = re.compile(r"(?<=[_\-./])(?=[^_\-./])")


def pieces_of(name: str) -> list[str]:
    """Cut a name where a reader would: after _ - . and /."""
    return _BREAKS.split(name)


def cohort_page(value: dict[str, Json]) -> dict[str, Json]:
    """Return the template's variables."""
    parts = [_part(part) for part in value["parts"]]
    findings = sum(len(g["lines"]) + g["hidden"] for part in parts for g in part["groups"])
    return {"r": value | {"headline": _headline(value), "parts": parts, "findings": findings}}


def _headline(value: dict[str, Json]) -> str:
    out, stops = value["samples"] - value["kept"], {"error", "fail"}
    said = []
    if out:
        said.append(f"{out} of {value['samples']} samples {'is' if out == 1 else 'are'} left out")
    checks = [check for part in value["parts"] for check in part["checks"]]
    hard = sorted({c["title"] for c in checks if c["hard"] and c["severity"] in stops})
    if hard:
        said.append(f"not held: {', '.join(hard)}")
    if said:
        words = "; ".join(said)
        return words[0].upper() + words[1:]
    if value["severity"] in _NOTABLE:
        return "All samples pass; some findings deserve a look"
    return "All samples pass"


def _part(part: Json) -> Json:
    checks = {check["check"]: check for check in part["checks"]}
    own = [c["check"] for c in part["checks"] if _of_samples(c["check"], part)]
    rows = [_row(sample, part, [checks[check] for check in own]) for sample in part["samples"]]
    rows.sort(key=lambda row: (row["rank"], row["sample"]))
    pieces = [len(piece) for row in rows for piece in pieces_of(row["sample"])]
    return {
        **part,
        "name_width": min(_WIDEST_NAME, max(pieces, default=0)),
        "rows": rows,
        "groups": _groups(part, checks),
        "plots": [_drawn(plot) for plot in _plots(part)],
    }


def _of_samples(check: str, part: Json) -> bool:
    return any(result["check"] == check for s in part["samples"] for result in s["results"])


def _row(sample: Json, part: Json, checks: list[Json]) -> Json:
    found: dict[str, str] = {}
    for result in sample["results"]:
        known = found.get(result["check"], "not_applicable")
        found[result["check"]] = min(known, result["severity"], key=_RANK.__getitem__)
    rank = -1 if sample["excluded"] else _RANK[sample["severity"]]
    notable = sample["excluded"] or sample["severity"] in _NOTABLE
    return {
        "sample": sample["sample"],
        "severity": sample["severity"],
        "excluded": sample["excluded"],
        "rank": rank,
        "kind": " ".join(("notable",) * notable + ("out",) * sample["excluded"]),
        "cells": [_cell(sample["stats"].get(c["key"]), c, part) for c in part["columns"]],
        "checks": [
            {"title": c["title"], "severity": found.get(c["check"], "not_applicable")}
            for c in checks
        ],
    }


def _cell(value: float | None, column: Json, part: Json) -> Json:
    """Write a statistic; `part`: how far along the column's span it lies, in per cent."""
    if value is None:
        return {"value": None, "text": NOT_ASSESSABLE, "part": 0}
    known = [v for s in part["samples"] if (v := s["stats"].get(column["key"])) is not None]
    low, high = min(0, *known), max(known)
    share = 0.0 if high == low else (value - low) / (high - low)
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{column['digits']}f}"
    return {"value": value, "text": text, "part": round(100 * share)}


def _groups(part: Json, checks: dict[str, Json]) -> list[Json]:
    """Put the same finding of several samples under one heading, the worst first."""
    found: dict[tuple[str, str], list[Json]] = {}
    rows = [(sample["sample"], r) for sample in part["samples"] for r in sample["results"]]
    rows += [("All samples", r) for r in part["cohort"]["results"]]
    for who, result in rows:
        if result["severity"] in _NOTABLE:
            line = {"who": who, "detail": _detail(result), "value": amount(result, checks)}
            found.setdefault((result["check"], result["severity"]), []).append(line)
    groups = [
        {
            **{key: checks[check][key] for key in ("title", "meaning", "advice", "hard")},
            "excludes": checks[check]["excludes"] and severity in {"fail", "error"},
            "severity": severity,
            "lines": lines[:_LINES_PER_FINDING],
            "hidden": max(0, len(lines) - _LINES_PER_FINDING),
        }
        for (check, severity), lines in found.items()
    ]
    return sorted(groups, key=lambda group: _RANK[group["severity"]])


def _detail(result: Json) -> str:
    subject = f"{result['subject']}: " if result["subject"] else ""
    return f"{subject}{result['detail']}".strip().removesuffix(":")


def amount(result: Json, checks: dict[str, Json]) -> str:
    """Write what was measured and from where on it is flagged."""
    if result["value"] is None or result["threshold"] is None:
        return ""
    check = checks[result["check"]]
    word = "above" if check["worse"] == "higher" else "below"
    return f"{result['value']:.4g} {check['unit']}, flagged {word} {result['threshold']:.4g}"


# -- plots -----------------------------------------------------------------------------------------


def _plots(part: Json) -> list[Json]:
    """List the cohort's plots, then those of the samples, overlaid where each is one line."""
    by_id: dict[str, list[tuple[Json, Json]]] = {}
    for sample in part["samples"]:
        for plot in sample["plots"]:
            by_id.setdefault(plot["id"], []).append((sample, plot))
    plots = list(part["cohort"]["plots"])
    for drawn in by_id.values():
        single = all(p["kind"] == "line" and len(p["series"]) == 1 for _, p in drawn)
        plots += [_overlaid(drawn)] if single and len(drawn) > 1 else _some(drawn)
    return plots


def _overlaid(drawn: list[tuple[Json, Json]]) -> Json:
    """Put one line per sample into one picture; what failed stands out and is drawn last."""
    ordered = sorted(drawn, key=lambda pair: -_RANK[pair[0]["severity"]])
    series = [
        {**plot["series"][0], "name": sample["sample"], "flagged": sample["excluded"]}
        for sample, plot in ordered[-_OVERLAID:]
    ]
    first = ordered[-1][1]
    more = len(ordered) - len(series)
    sentence = first["sentence"] if len({p["sentence"] for _, p in drawn}) == 1 else ""
    if not sentence:
        sentence = f"{ordered[-1][0]['sample']}: {first['sentence']}"
    if more:
        sentence += f" {more} more samples are in the file beside this page."
    return {**first, "series": series, "sentence": sentence}


def _some(drawn: list[tuple[Json, Json]]) -> list[Json]:
    """Show the plots of the few samples that most need a look."""
    worst = sorted(drawn, key=lambda pair: (_RANK[pair[0]["severity"]], pair[0]["sample"]))
    return [
        {
            **plot,
            "title": f"{plot['title']}: {sample['sample']}" if len(drawn) > 1 else plot["title"],
        }
        for sample, plot in worst[:_SHOWN_SAMPLES]
    ]


def _drawn(plot: Json) -> Json:
    names = [series["name"] for series in plot["series"]] if len(plot["series"]) > 1 else []
    return {
        "title": plot["title"],
        "sentence": plot["sentence"],
        "picture": draw(plot),
        "names": names[:_LEGEND],
        "more_names": max(0, len(names) - _LEGEND),
    }
