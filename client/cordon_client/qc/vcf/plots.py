"""Pictures of variants, each with the sentence that says what it means here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.modality import Band, Plot, Series
from cordon_client.qc.vcf.measure import DEPTH_EDGES, QUALITY_EDGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_client.qc.modality import SampleQc
    from cordon_client.qc.vcf.measure import SampleCounts


def sample_plots(counts: SampleCounts, sample: int) -> tuple[Plot, ...]:
    """Draw one sample: depth and genotype quality of its calls, where the file has them."""
    plots = []
    for key, table, edges, title, label, sentence in (
        (
            "depth",
            counts.depth[sample],
            DEPTH_EDGES,
            "Reads behind the calls",
            "reads (DP)",
            "{share:.0%} of the calls rest on fewer than 10 reads; above a few percent, "
            "heterozygotes are missed.",
        ),
        (
            "quality",
            counts.quality[sample],
            QUALITY_EDGES,
            "Certainty of the genotypes",
            "genotype quality (GQ, Phred)",
            "{share:.0%} of the genotypes are wrong with more than one percent probability.",
        ),
    ):
        total = int(table.sum())
        if total:
            below = table[:3] if key == "depth" else table[:2]
            names = [*map(str, edges[:-1]), f"{edges[-1]}+"]
            shares = tuple(round(100 * int(each) / total, 3) for each in table)
            plots.append(
                Plot(
                    f"vcf.{key}",
                    title,
                    "bars",
                    label,
                    "percent of calls",
                    sentence.format(share=int(below.sum()) / total),
                    (Series("calls", tuple(names), shares),),
                )
            )
    return tuple(plots)


def cohort_plots(checked: Sequence[SampleQc]) -> tuple[Plot, ...]:
    """Draw all samples: het/hom against Ti/Tv, call rate, reads that contradict the calls."""
    return tuple(
        plot
        for plot in (
            _scatter(
                checked,
                ("titv", "het_hom"),
                "Kinds of variants",
                ("transitions per transversion", "heterozygous per homozygous ALT"),
                "One cloud is one ancestry and one way of calling. A sample below the others on the "
                "left has errors among its calls; one far above has another person's DNA in it.",
            ),
            _bars(
                checked,
                "call_rate",
                "Call rate",
                "percent of records with a genotype",
                "Samples below 98 % were sequenced less deeply, or called apart from the others.",
                (Band(0, 90, "fail"), Band(90, 98, "warn"), Band(98, 100, "pass")),
            ),
            _bars(
                checked,
                "odd_reads",
                "Contamination estimate",
                "percent of reads that contradict a homozygous call",
                "Below half a percent it is sequencing error; from two percent on, look for another "
                "person's DNA on the same plate.",
                (Band(0, 2, "pass"), Band(2, 5, "warn"), Band(5, 100, "fail")),
            ),
        )
        if plot is not None
    )


def _scatter(
    checked: Sequence[SampleQc],
    keys: tuple[str, str],
    title: str,
    labels: tuple[str, str],
    sentence: str,
) -> Plot | None:
    points = [
        (each.sample, x, y)
        for each in checked
        if (x := each.stats[keys[0]]) is not None and (y := each.stats[keys[1]]) is not None
    ]
    if not points:
        return None
    series = Series("samples", tuple(x for _, x, _ in points), tuple(y for _, _, y in points))
    return Plot(f"vcf.{keys[1]}", title, "scatter", *labels, sentence, (series,))


def _bars(
    checked: Sequence[SampleQc],
    key: str,
    title: str,
    label: str,
    sentence: str,
    bands: tuple[Band, ...],
) -> Plot | None:
    known = [(each.sample, v) for each in checked if (v := each.stats[key]) is not None]
    if not known:
        return None
    series = Series(title, tuple(name for name, _ in known), tuple(v for _, v in known))
    return Plot(f"vcf.{key}", title, "bars", "sample", label, sentence, (series,), bands)
