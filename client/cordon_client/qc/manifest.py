"""The cohort manifest: which files belong to which sample, patient, outcome and batch."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from cordon_client.qc.modality import SampleFiles
from cordon_common.errors import DataError, ProtocolError
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.canonical import Json

_FILE_COLUMNS = ("file", "files")
_BATCH = "batch."
_KNOWN = {"sample", *_FILE_COLUMNS, "patient", "label", "modality", "inside"}
_MAX_BYTES = 64 * 1024**2


class ManifestSample(StrictModel):
    """One sample in one modality. files: in order (R1, R2), relative to the manifest's folder."""

    sample: str = Field(min_length=1, max_length=200, examples=["S01"])
    files: tuple[str, ...] = Field(min_length=1, examples=[["S01_R1.fastq.gz", "S01_R2.fastq.gz"]])
    modality: str | None = Field(default=None, examples=["fastq"])
    patient: str | None = Field(default=None, examples=["P17"])
    label: int | None = Field(default=None, ge=0, le=1, examples=[1])
    inside: str | None = Field(default=None, examples=["NA12878"])
    batches: dict[str, str] = Field(default_factory=dict, examples=[{"run": "2026-03-01"}])

    @field_validator("files")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value) or not all(value):
            raise ValueError("a file is listed twice, or its name is empty")
        return value


class Manifest(StrictModel):
    """A cohort; the pair of sample and modality occurs once."""

    samples: tuple[ManifestSample, ...] = Field(min_length=1)

    @field_validator("samples")
    @classmethod
    def _distinct(cls, value: tuple[ManifestSample, ...]) -> tuple[ManifestSample, ...]:
        seen = [(each.sample, each.modality) for each in value]
        twice = (
            next((pair for pair in seen if seen.count(pair) > 1), None)
            if len(set(seen)) < len(seen)
            else None
        )
        if twice is not None:
            raise ValueError(f"the sample {twice[0]} is listed twice")
        patients: dict[str, str | None] = {}
        for each in value:
            if patients.setdefault(each.sample, each.patient) != each.patient:
                raise ValueError(f"the sample {each.sample} belongs to two patients")
        return value


def is_manifest(path: Path) -> bool:
    """Say whether a file is a cohort manifest: YAML, or a table with the columns sample and file."""
    if path.suffix.lower() in {".yaml", ".yml"}:
        return True
    if path.suffix.lower() not in {".csv", ".tsv"}:
        return False
    with path.open("rb") as file:
        head = file.readline(65_536).decode("utf-8-sig", "replace").lower()
    names = {name.strip() for name in head.replace("\t", ",").strip().split(",")}
    return "sample" in names and bool(names & set(_FILE_COLUMNS))


def read_manifest(path: Path) -> list[tuple[str | None, SampleFiles]]:
    """Read a manifest; returns (modality or None, sample) in its order.

    Raises:
        DataError: DA031 for a manifest that is no manifest, with every wrong field.
    """
    value = _yaml(path) if path.suffix.lower() in {".yaml", ".yml"} else _table(path)
    try:
        manifest = parse_model(Manifest, value, code="PR004", what="the manifest is not valid")
    except ProtocolError as error:
        raise DataError("DA031", why=error.why) from None
    return [
        (
            each.modality,
            SampleFiles(
                sample=each.sample,
                files=tuple(path.parent / file for file in each.files),
                patient=each.patient,
                label=each.label,
                batches=each.batches,
                inside=each.inside,
            ),
        )
        for each in manifest.samples
    ]


def _yaml(path: Path) -> Json:
    try:
        return load_yaml(path)
    except ProtocolError as error:
        raise DataError("DA031", why=error.why or error.what) from None


def _table(path: Path) -> Json:
    data = path.read_bytes()
    if len(data) > _MAX_BYTES:
        raise DataError("DA031", why="it is larger than 64 MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("DA031", why="it is not UTF-8 text") from None
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    unknown = [n for n in names if n not in _KNOWN and not n.startswith(_BATCH)]
    if unknown:
        why = f"unknown columns: {', '.join(unknown)}; batches are columns called batch.NAME"
        raise DataError("DA031", why=why)
    reader.fieldnames = names
    try:
        return {"samples": [_row(row, number) for number, row in enumerate(reader, start=2)]}
    except csv.Error:
        raise DataError("DA031", why="a quoted field is not closed") from None


def _row(row: dict[str, Json], line: int) -> Json:
    if None in row or None in row.values():
        raise DataError("DA031", why=f"line {line} has more or fewer fields than the header")
    cells = {name: text.strip() for name, text in row.items()}
    files = cells.get("files") or cells.get("file") or ""
    value: dict[str, Json] = {
        "sample": cells.get("sample", ""),
        "files": [file.strip() for file in files.split(";") if file.strip()],
        "batches": {
            name.removeprefix(_BATCH): text
            for name, text in cells.items()
            if name.startswith(_BATCH) and text
        },
    }
    for name in ("modality", "patient", "inside"):
        value[name] = cells.get(name) or None
    label = cells.get("label", "")
    if label not in {"", "0", "1"}:
        raise DataError("DA031", why=f"line {line}: the label is neither 0 nor 1 nor empty")
    value["label"] = int(label) if label else None
    return value
