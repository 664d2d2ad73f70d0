"""Pictures of one sample of single cells, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.modality import Plot, Series

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cordon_client.qc.single_cell.samples import Measured

    Values = npt.NDArray[np.float64]

_BARS = 40
_POINTS = 800


def sample_plots(m: Measured) -> Iterator[Plot]:
    """Draw molecules per cell, genes against molecules, doublet scores, and zeros per gene."""
    if not m.usable:
        return
    yield _histogram(
        "cells-depth",
        "Molecules per cell",
        "log10 molecules",
        np.log10(np.maximum(m.values.total, 1)),
        "One hump is a clean sample; a second one on the left is debris or empty droplets.",
    )
    yield _genes_against_molecules(m)
    if m.mitochondrial:
        share = 100 * m.values.mitochondrial / np.maximum(m.values.total, 1)
        yield _histogram(
            "cells-mt",
            "Mitochondrial molecules",
            "% of molecules",
            np.asarray(share),
            "Cells beyond 8 %, or 3 MAD above the median, have mostly lost their membrane.",
        )
    if m.doublets is not None:
        yield _doublets(m)
    if m.zeros is not None:
        yield _zeros(m)


def _histogram(plot_id: str, title: str, x_label: str, values: Values, sentence: str) -> Plot:
    counts, edges = np.histogram(values, _BARS)
    middle = (edges[:-1] + edges[1:]) / 2
    return Plot(
        id=plot_id,
        title=title,
        kind="histogram",
        x_label=x_label,
        y_label="cells",
        sentence=sentence,
        series=(Series("cells", tuple(middle.tolist()), tuple(counts.tolist())),),
    )


def _every(count: int) -> npt.NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(np.int64))


def _genes_against_molecules(m: Measured) -> Plot:
    chosen = _every(len(m.values.total))
    x = np.log10(np.maximum(m.values.total[chosen], 1))
    y = np.log10(np.maximum(m.values.genes[chosen], 1))
    return Plot(
        id="cells-genes",
        title="Genes seen against molecules",
        kind="scatter",
        x_label="log10 molecules",
        y_label="log10 genes",
        sentence="Cells lie on one curve; below it are cells of low complexity, far right doublets.",
        series=(Series("cells", tuple(x.tolist()), tuple(y.tolist())),),
    )


def _doublets(m: Measured) -> Plot:
    found = m.doublets
    assert found is not None  # noqa: S101 - the caller looked
    edges = np.linspace(0, max(float(found.simulated.max()), float(found.scores.max())), _BARS + 1)
    middle = tuple(((edges[:-1] + edges[1:]) / 2).tolist())
    both = (("cells", found.scores), ("simulated doublets", found.simulated))
    series = []
    for name, scores in both:
        counts, _ = np.histogram(scores, edges)
        series.append(Series(name, middle, tuple((100 * counts / len(scores)).tolist())))
    return Plot(
        id="cells-doublets",
        title="Doublet scores of cells and of simulated doublets",
        kind="line",
        x_label="score",
        y_label="% of each",
        sentence=f"Estimated {found.rate:.0%} doublets; {found.detectable:.0%} of simulated ones "
        "can be told from single cells, the others pair cells that are alike.",
        series=tuple(series),
    )


def _zeros(m: Measured) -> Plot:
    found = m.zeros
    assert found is not None  # noqa: S101 - the caller looked
    chosen = _every(len(found.means))
    order = np.argsort(found.means)[chosen]
    x = np.log10(found.means[order])
    return Plot(
        id="cells-zeros",
        title="Cells without a gene, against its mean",
        kind="scatter",
        x_label="log10 mean molecules",
        y_label="share of cells with none",
        sentence=f"{found.share:.1%} of genes have more zeros than a negative binomial with their "
        "mean and variance; a cloud above the curve means lost molecules or a mixture.",
        series=(
            Series("seen", tuple(x.tolist()), tuple(found.observed[order].tolist())),
            Series("expected", tuple(x.tolist()), tuple(found.expected[order].tolist())),
        ),
    )
