"""A taxonomic profile of one sample, whatever it was read from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

REAGENT_GENERA = frozenset(
    {"Acidovorax", "Afipia", "Aquabacterium", "Arthrobacter", "Asticcacaulis", "Azoarcus"}
    | {"Azospira", "Beijerinckia", "Bosea", "Bradyrhizobium", "Brevundimonas", "Burkholderia"}
    | {"Caulobacter", "Chryseobacterium", "Comamonas", "Cupriavidus", "Curvibacter", "Deinococcus"}
    | {"Delftia", "Devosia", "Duganella", "Flavobacterium", "Herbaspirillum", "Hydrotalea"}
    | {"Janthinobacterium", "Kocuria", "Leptothrix", "Limnobacter", "Massilia", "Mesorhizobium"}
    | {"Methylobacterium", "Methylophilus", "Methyloversatilis", "Microbacterium", "Niastella"}
    | {"Novosphingobium", "Ochrobactrum", "Olivibacter", "Oxalobacter", "Paracoccus", "Pedobacter"}
    | {"Pelomonas", "Phyllobacterium", "Polaromonas", "Pseudoxanthomonas", "Psychrobacter"}
    | {"Ralstonia", "Rhizobium", "Rhodococcus", "Roseomonas", "Schlegelella", "Sphingobium"}
    | {"Sphingomonas", "Sphingopyxis", "Stenotrophomonas", "Sulfuritalea", "Undibacterium"}
    | {"Variovorax", "Wautersiella", "Xanthomonas"}
)
"""Genera of soil and water found in blanks of several kits and laboratories (Salter et al. 2014)."""

_GENUS = re.compile(r"(?:^|[|;_\s])(?:[a-z]__)?\[?([A-Z][a-z]+)")


@dataclass(frozen=True)
class TaxonProfile:
    """Abundances at one rank (species where the source has several).

    taxa, values: names and abundances, float64 [taxa]; reads, or shares where `shares`. whole: what
    the shares sum to (1, or 100 for per cent). reads: of the whole sample. unclassified, host:
    shares of the reads. unaccounted: share of reads that the report's tree loses. All None where
    the source cannot tell.
    """

    taxa: tuple[str, ...]
    values: Values
    shares: bool
    reads: int | None = None
    unclassified: float | None = None
    host: float | None = None
    unaccounted: float | None = None

    @property
    def composition(self) -> Values | None:
        """Abundances that sum to 1, float64 [taxa]; None without any."""
        total = float(self.values[self.values > 0].sum())
        return np.maximum(np.nan_to_num(self.values), 0) / total if total > 0 else None

    @property
    def total(self) -> float | None:
        """What the shares, and the share that is unclassified, sum to; None for reads."""
        return float(np.nansum(self.values)) if self.shares else None

    @property
    def smallest(self) -> float | None:
        """The smallest share that was seen; None without any."""
        composition = self.composition
        return None if composition is None else float(composition[composition > 0].min())

    def reagents(self) -> float | None:
        """Share of the abundances in genera that live in reagents; None without genus names."""
        composition = self.composition
        genera = [genus_of(name) for name in self.taxa]
        if composition is None or not any(genera):
            return None
        known = np.array([genus in REAGENT_GENERA for genus in genera])
        return float(composition[known].sum())


def genus_of(name: str) -> str | None:
    """Return the genus in a taxon's name: of a lineage the genus, of a binomial the first word."""
    lineage = re.search(r"g__\[?([A-Z][a-z]+)", name)
    if lineage:
        return lineage.group(1)
    last = re.split(r"[|;]", name)[-1].strip()
    if re.match(r"^[kpcof]__", last):
        return None
    found = _GENUS.match(last)
    return found.group(1) if found else None


def shannon(composition: Values) -> float:
    """Return Shannon's index in nats: -Σ p ln p."""
    present = composition[composition > 0]
    return float(-(present * np.log(present)).sum()) + 0.0


def bray_curtis(first: Values, second: Values) -> float:
    """Return Σ|p - q| / Σ(p + q): 0 = the same, 1 = nothing in common."""
    return float(np.abs(first - second).sum() / (first + second).sum())
