"""The files beside a report: the same data as Parquet, and general statistics for MultiQC."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pa_parquet

if TYPE_CHECKING:
    from cordon_common.canonical import Json

SAMPLES_NAME, CHECKS_NAME = "qc-samples.parquet", "qc-checks.parquet"
TRAINING_NAME = "training-set.csv"

_SAMPLES = pa.schema(
    [
        ("modality", pa.string()),
        ("sample", pa.string()),
        ("excluded", pa.bool_()),
        ("severity", pa.string()),
        ("statistic", pa.string()),
        ("unit", pa.string()),
        ("value", pa.float64()),
    ]
)
_CHECKS = pa.schema(
    [
        ("modality", pa.string()),
        ("sample", pa.string()),
        ("subject", pa.string()),
        ("check", pa.string()),
        ("severity", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("affected", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


def side_files(value: dict[str, Json]) -> dict[str, bytes]:
    """Return the files by name; equal input gives equal bytes.

    `qc-samples.parquet`: one row per sample and statistic (null = not assessable).
    `qc-checks.parquet`: one row per judgement; sample null = all samples together.
    `training-set.csv`: who trains: a sample that fails in any modality is left out, with reasons.
    `cordon-<modality>_mqc.json`: custom content of MultiQC, one per modality.
    """
    if value["kind"] == "qc-report.v1":
        rows = [_check_row("clinical-table", None, result) for result in value["results"]]
        return {CHECKS_NAME: _parquet(rows, _CHECKS)}
    files = {
        SAMPLES_NAME: _parquet(
            [row for part in value["parts"] for row in _sample_rows(part)], _SAMPLES
        ),
        CHECKS_NAME: _parquet(
            [row for part in value["parts"] for row in _check_rows(part)], _CHECKS
        ),
    }
    files[TRAINING_NAME] = _training_set(value["parts"])
    for part in value["parts"]:
        if part["columns"]:
            files[f"cordon-{part['modality']}_mqc.json"] = _multiqc(part)
    return files


def _sample_rows(part: Json) -> list[Json]:
    return [
        {
            "modality": part["modality"],
            "sample": sample["sample"],
            "excluded": sample["excluded"],
            "severity": sample["severity"],
            "statistic": column["key"],
            "unit": column["unit"],
            "value": sample["stats"].get(column["key"]),
        }
        for sample in part["samples"]
        for column in part["columns"]
    ]


def _check_rows(part: Json) -> list[Json]:
    rows = [
        _check_row(part["modality"], sample["sample"], result)
        for sample in part["samples"]
        for result in sample["results"]
    ]
    together = part["cohort"]["results"]
    return rows + [_check_row(part["modality"], None, result) for result in together]


def _check_row(modality: str, sample: str | None, result: Json) -> Json:
    return {"modality": modality, "sample": sample, **result}


def _training_set(parts: list[Json]) -> bytes:
    """List every sample once; one that any of its files excludes does not train."""
    rows: dict[str, Json] = {}
    for part in parts:
        excluding = {check["check"] for check in part["checks"] if check["excludes"]}
        for sample in part["samples"]:
            row = rows.setdefault(
                sample["sample"],
                {"patient": sample["patient"], "label": sample["label"], "reasons": set()},
            )
            if sample["excluded"]:
                row["reasons"] |= {
                    result["reason"]
                    for result in sample["results"]
                    if result["check"] in excluding and result["severity"] in {"fail", "error"}
                }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "patient", "label", "status", "reasons"])
    for sample, row in sorted(rows.items()):
        status = "left out" if row["reasons"] else "train"
        reasons = ";".join(sorted(row["reasons"]))
        writer.writerow([sample, row["patient"], row["label"], status, reasons])
    return text.getvalue().encode()


def _parquet(rows: list[Json], schema: pa.Schema) -> bytes:
    buffer = io.BytesIO()
    columns = {name: [row[name] for row in rows] for name in schema.names}
    table = pa.table({n: pa.array(columns[n], schema.field(n).type) for n in schema.names})
    pa_parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _multiqc(part: Json) -> bytes:
    """Write general statistics as MultiQC's custom content (plot type `generalstats`)."""
    headers = [
        {
            column["key"]: {
                "title": column["title"],
                "description": column["meaning"],
                "suffix": f" {column['unit']}" if column["unit"] else "",
                "format": f"{{:,.{column['digits']}f}}",
                "namespace": f"Cordon {part['title']}",
            }
        }
        for column in part["columns"]
    ]
    data = {
        sample["sample"]: {k: v for k, v in sample["stats"].items() if v is not None}
        for sample in part["samples"]
    }
    content = {
        "id": f"cordon_{part['modality'].replace('-', '_')}",
        "plot_type": "generalstats",
        "pconfig": headers,
        "data": data,
    }
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
