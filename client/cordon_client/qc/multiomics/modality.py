"""Identity as a modality: a sheet's patients, their DNA, RNA, expression and record compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, Plot, SampleQc, Series, StatColumn
from cordon_common.qc.identity_checks import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_client.qc.multiomics.genotypes import Genotypes, SiteKey
    from cordon_client.qc.multiomics.sheet import Row, Source
    from cordon_common.qc.profile import Profile

_SUFFIX = ".identity.tsv"
_LEAST_SITES = 30
"""Fewer shared sites do not tell persons apart."""
_SAME, _BETTER = 0.8, 0.1

COLUMNS = (
    StatColumn("sites", "Sites", "sites", "Sites with genotypes from both DNA and RNA.", 0),
    StatColumn("own", "Own", "%", "Equal genotypes with the patient's own DNA."),
    StatColumn("best", "Best other", "%", "Equal genotypes with the best of the other DNAs."),
)


@dataclass(frozen=True)
class Identity:
    """What was found of one patient: matched, mismatched or untestable; `other`: whom it fits."""

    state: str
    sites: int
    own: float | None
    best: float | None
    other: str | None
    sexes: tuple[tuple[str, str], ...]


def recognises(path: Path) -> bool:
    """Tell by the name."""
    return path.name.lower().endswith(_SUFFIX)


def samples(path: Path) -> tuple[str, ...]:
    """List the sheet's patients.

    Raises:
        DataError: DA044 when the sheet is not valid.
    """
    from cordon_client.qc.multiomics.sheet import read_sheet

    return tuple(row.patient for row in read_sheet(path))


def beside(path: Path) -> tuple[Path, ...]:
    """List the files that a sheet names.

    Raises:
        DataError: DA044 when the sheet is not valid.
    """
    from cordon_client.qc.multiomics.sheet import read_sheet

    sources = (each for row in read_sheet(path) for each in (row.dna, row.rna, row.expression))
    return tuple(dict.fromkeys(each.file for each in sources if each))


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check a sheet of one patient."""
    return check_file((sample,), profile, progress)[0]


def check_file(
    wanted: Sequence[SampleFiles], profile: Profile, progress: Progress
) -> tuple[SampleQc, ...]:
    """Compare all patients of a sheet.

    Raises:
        DataError: DA042 for a broken VCF, DA044 for a sheet or table that is not valid.
    """
    from cordon_client.qc.multiomics.sheet import read_sheet

    rows = read_sheet(wanted[0].files[0])
    found = dict(zip((row.patient for row in rows), compare_rows(rows, progress), strict=True))
    if len(wanted) == 1 and wanted[0].inside is None:
        return (_judged(wanted[0], found[rows[0].patient], profile),)
    return tuple(_judged(each, found[each.inside or each.sample], profile) for each in wanted)


def _judged(sample: SampleFiles, found: Identity, profile: Profile) -> SampleQc:
    mismatch = None if found.state == "untestable" else float(found.state == "mismatched")
    fits = "" if found.other is None else f"It fits the DNA of {found.other}."
    sexes = {sex for _, sex in found.sexes}
    told = ", ".join(f"{source} {sex}" for source, sex in found.sexes)
    agree = None if len(found.sexes) < 2 else float(len(sexes) > 1)
    # DNA is read at the sites of all RNA of the sheet, so others take part in the sex it shows.
    without_dna = {sex for source, sex in found.sexes if source != "DNA"}
    shared = sample.inside is not None and len(without_dna) < 2
    return SampleQc(
        sample=sample.sample,
        stats={
            "sites": found.sites,
            "own": None if found.own is None else 100 * found.own,
            "best": None if found.best is None else 100 * found.best,
        },
        results=(
            result_of(Finding("identity.genotype", mismatch, found.sites, fits), profile),
            result_of(Finding("identity.sex", agree, None, f"{told}.", shared=shared), profile),
        ),
        measures={"identity": found},
    )


def compare_rows(rows: Sequence[Row], progress: Progress) -> list[Identity]:
    """Read every file of a sheet once and compare RNA with DNA, and sexes with the record."""
    from cordon_client.qc.multiomics.genotypes import compare

    read = _Read(rows, progress)
    concordance = compare([read.rna(row.rna) for row in rows], [read.dna(row.dna) for row in rows])
    shares = concordance.shares(_LEAST_SITES)
    names = [row.patient for row in rows]
    return [
        _identity(i, shares[i], int(concordance.shared[i, i]), names, read.sexes(row))
        for i, row in enumerate(rows)
    ]


def _identity(
    index: int,
    shares: npt.NDArray[np.float64],
    sites: int,
    names: Sequence[str],
    sexes: tuple[tuple[str, str], ...],
) -> Identity:
    import numpy as np

    own = None if np.isnan(shares[index]) else float(shares[index])
    others = shares.copy()
    others[index] = np.nan
    known = np.flatnonzero(~np.isnan(others))
    top = int(known[np.argmax(others[known])]) if len(known) else None
    best = None if top is None else float(others[top])
    fits_other = best is not None and best >= _SAME and best > (own or 0.0) + _BETTER
    if own is None and not fits_other:
        return Identity("untestable", sites, own, best, None, sexes)
    matched = own is not None and own >= _SAME and not fits_other
    other = names[top] if fits_other and top is not None else None
    return Identity("matched" if matched else "mismatched", sites, own, best, other, sexes)


class _Read:
    """Files of a sheet, each read once; DNA only at the sites that some RNA has."""

    def __init__(self, rows: Sequence[Row], progress: Progress) -> None:
        from cordon_client.qc.multiomics.expression import sexes_by_expression
        from cordon_client.qc.multiomics.genotypes import read_genotypes

        rna = {row.rna.file for row in rows if row.rna}
        dna = {row.dna.file for row in rows if row.dna}
        tables = {row.expression.file for row in rows if row.expression}
        files = [*sorted(rna), *sorted(dna), *sorted(tables)]
        total, done = sum(file.stat().st_size for file in files), 0
        self._rna: dict[Path, Genotypes] = {}
        self._dna: dict[Path, Genotypes] = {}
        self._tables: dict[Path, dict[str, str | None]] = {}
        for file in files:
            if file in rna:
                self._rna[file] = read_genotypes(file)
            if file in dna:
                wanted = {key for each in self._rna.values() for key in each.sites}
                self._dna[file] = read_genotypes(file, wanted)
            if file in tables:
                self._tables[file] = sexes_by_expression(file)
            done += file.stat().st_size
            progress(done, total)

    def rna(self, source: Source | None) -> dict[SiteKey, int]:
        """ALT copies of a sample's RNA by site."""
        return _dosages(self._rna, source)

    def dna(self, source: Source | None) -> dict[SiteKey, int]:
        """ALT copies of a sample's DNA by site."""
        return _dosages(self._dna, source)

    def sexes(self, row: Row) -> tuple[tuple[str, str], ...]:
        """What record, DNA and expression say about the sex, where they do."""
        from cordon_client.qc.vcf.judge import recorded_sex

        said = [("record", recorded_sex(row.sex))]
        if row.dna is not None:
            genotypes = self._dna[row.dna.file]
            said.append(("DNA", genotypes.sexes[_index(genotypes, row.dna)]))
        if row.expression is not None:
            table = self._tables[row.expression.file]
            said.append(("expression", table.get(row.expression.sample)))
        return tuple((source, sex) for source, sex in said if sex is not None)


def _index(genotypes: Genotypes, source: Source) -> int:
    from cordon_common.errors import DataError

    if not source.sample and len(genotypes.names) == 1:
        return 0
    if source.sample not in genotypes.names:
        raise DataError("DA044", why="a VCF file has no sample of the name that the sheet gives")
    return genotypes.names.index(source.sample)


def _dosages(files: dict[Path, Genotypes], source: Source | None) -> dict[SiteKey, int]:
    if source is None:
        return {}
    genotypes = files[source.file]
    index = _index(genotypes, source)
    return {key: int(copies[index]) for key, copies in genotypes.sites.items()}


def check_cohort(
    _samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Count matched, mismatched and untestable patients: all that may ever leave of this."""
    found = [each.measures.get("identity") for each in checked]
    identities = [each for each in found if isinstance(each, Identity)]
    states = ("matched", "mismatched", "untestable")
    counts = [sum(each.state == state for each in identities) for state in states]
    tested = counts[0] + counts[1]
    finding = Finding(
        "identity.cohort",
        counts[1] / tested if tested else None,
        counts[1],
        f"{counts[1]} of {tested} tested patients.",
    )
    bars = Plot(
        "identity.states",
        "DNA and RNA of one person",
        "bars",
        "outcome",
        "patients",
        f"{counts[0]} patients match, {counts[1]} do not, {counts[2]} could not be tested. Two "
        "mismatches that fit each other are a swap of tubes.",
        (Series("patients", states, tuple(counts)),),
    )
    return CohortQc(results=(result_of(finding, profile),), plots=(bars,) if identities else ())


MODALITY = Modality(
    name=IDENTITY,
    title="Identity across modalities",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    samples=samples,
    check_file=check_file,
    beside=beside,
)
