"""`cordon site table`: make a cohort file of OMOP tables, and say who is in it and why not."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cordon_common.canonical import canonical_bytes
from cordon_common.cli import console
from cordon_common.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from cordon_client.qc.omop.extract import Extract
    from cordon_client.qc.omop.recipe import Recipe
    from cordon_common.protocol.study import Study


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    tables: Path
    recipe: Path
    output: Path
    study: Path | None
    as_json: bool


def run(wanted: Wanted) -> None:
    """Read the tables, write the cohort file, show what became of the persons.

    Raises:
        CordonError: as the readers do; US052 when the study asks for other columns.
    """
    from cordon_client.cli.quality import shown
    from cordon_client.local_qc import read_study
    from cordon_client.qc.omop.extract import extract
    from cordon_client.qc.omop.recipe import load_recipe
    from cordon_client.qc.report import write_private

    recipe = load_recipe(wanted.recipe)
    if wanted.study is not None:
        require_columns(recipe, read_study(wanted.study))
    files = _files(wanted.tables)
    with shown(1) as watch:
        found = extract(recipe, files, lambda done, total: watch.reading(0, done, total))
        watch.finished(0)
    write_private(wanted.output, _parquet(recipe, found))
    if wanted.as_json:
        console.print_json(
            {
                "recipe": recipe.name,
                "persons": found.persons,
                "rows": len(found.table),
                "positive": found.positive,
                "left_out": found.left_out,
                "features": [asdict(column) for column in found.columns],
            }
        )
    else:
        console.show(extract_view(recipe, found))
        study = wanted.study.name if wanted.study is not None else "STUDY"
        console.next_step(f"cordon site qc {wanted.output} --study {study}")


def require_columns(recipe: Recipe, study: Study) -> None:
    """Do nothing when the recipe makes every column that the study reads.

    Raises:
        UsageError: US052 otherwise.
    """
    from cordon_client.qc.reader import study_columns

    missing = [name for name in study_columns(study.cohort) if name not in recipe.columns]
    if missing:
        raise UsageError("US052", why=f"it lacks {', '.join(missing)}")


def _files(folder: Path) -> tuple[Path, ...]:
    from cordon_client.qc.discover import discover

    if not folder.is_dir():
        raise UsageError("US002", f"cannot read {folder.name}", why="it is not a folder")
    samples = discover(folder, "omop").parts[0].samples
    if len(samples) != 1:
        raise DataError("DA045", why="there are several exports in the folder; name one of them")
    return samples[0].files


def _parquet(recipe: Recipe, found: Extract) -> bytes:
    """Write the table; the file names its recipe by digest, and equal tables give equal bytes."""
    import pyarrow.parquet as pa_parquet

    digest = hashlib.sha256(canonical_bytes(recipe.model_dump(mode="json"))).hexdigest()
    about = {"cordon.recipe": recipe.name, "cordon.recipe.digest": f"sha256:{digest}"}
    buffer = io.BytesIO()
    pa_parquet.write_table(found.table.replace_schema_metadata(about), buffer, compression="zstd")
    return buffer.getvalue()


def extract_view(recipe: Recipe, found: Extract) -> RenderableType:
    """Show how many persons became rows, why the others did not, and how full the columns are."""
    rows = len(found.table)
    head = Text(f"{recipe.name}: {rows} of {found.persons} persons, {found.positive} with ")
    head.append(recipe.outcome.name)
    fates = Table(box=box.SIMPLE_HEAD, title="Left out", title_justify="left")
    fates.add_column("because", overflow="fold")
    fates.add_column("persons", justify="right")
    for reason, count in found.left_out.items():
        fates.add_row(reason, f"{count:,}")
    columns = Table(
        box=box.SIMPLE_HEAD, title="Features, and rows that were not used", title_justify="left"
    )
    columns.add_column("feature", overflow="fold")
    columns.add_column("recorded", justify="right")
    columns.add_column("in other units", justify="right")
    columns.add_column("at or after the outcome", justify="right")
    for column in found.columns:
        share = f"{100 * column.recorded / rows:.0f} %" if rows else "-"
        unused = (column.other_unit, column.after_outcome)
        columns.add_row(column.name, share, *(f"{count:,}" if count else "-" for count in unused))
    return Group(head, fates, columns)
