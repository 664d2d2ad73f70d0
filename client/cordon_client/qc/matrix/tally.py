"""Tally a sample of counts: integers whose merge is addition, over any split of its features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

TOP = 50
"""How many of the largest counts are kept; enough for every share that the field uses."""
DETECTED = 10
"""Reads from which a gene counts as expressed, not merely seen."""

_MITOCHONDRIAL = re.compile(r"^(MT|mt|Mt)[-.:]")
_RIBOSOMAL_RNA = re.compile(
    r"^(RNA(18|28|45|5-8)S|RNA5S|RN(A)?18S|RN(A)?28S|RN45S|RN5S|MT-RNR[12]|mt-Rnr[12]|Rn45s)",
    re.IGNORECASE,
)
_SPIKE = re.compile(r"^ERCC-\d{5}$")
_MITOCHONDRIAL_ENSEMBL = frozenset(
    f"ENSG00000{number}"
    for number in (
        *("198888", "198763", "198840", "212907", "198886", "198786", "198695", "198727"),
        *("198804", "198712", "198938", "198899", "228253", "211459", "210082"),
    )
)
"""The 13 protein-coding and 2 ribosomal RNA genes of the human mitochondrion (Ensembl)."""
_RIBOSOMAL_ENSEMBL = frozenset({"ENSG00000211459", "ENSG00000210082"})


@dataclass(frozen=True)
class FeatureKinds:
    """Which features are mitochondrial genes, ribosomal RNA or ERCC spikes; bool [features]."""

    mitochondrial: Mask
    ribosomal: Mask
    spike: Mask


def feature_kinds(names: Sequence[str], symbols: Sequence[str] | None = None) -> FeatureKinds:
    """Tell kinds of features by symbol or Ensembl id, with or without its version."""
    labels = [names] if symbols is None else [names, symbols]
    bare = [[name.partition(".")[0] for name in label] for label in labels]

    def matching(pattern: re.Pattern[str], ids: frozenset[str]) -> Mask:
        found = np.zeros(len(names), dtype=np.bool_)
        for label, plain in zip(labels, bare, strict=True):
            found |= np.fromiter(
                (bool(pattern.match(n)) or p in ids for n, p in zip(label, plain, strict=True)),
                dtype=np.bool_,
                count=len(names),
            )
        return found

    return FeatureKinds(
        mitochondrial=matching(_MITOCHONDRIAL, _MITOCHONDRIAL_ENSEMBL),
        ribosomal=matching(_RIBOSOMAL_RNA, _RIBOSOMAL_ENSEMBL),
        spike=matching(_SPIKE, frozenset()),
    )


@dataclass(frozen=True)
class CountTally:
    """What is counted of one sample; all integers, so that parts merge in any order.

    features: how many rows were looked at; missing, negative, fractional: rows that no count can
    have. total, mitochondrial, ribosomal, spike: reads. *_features: rows of that kind, 0 = the
    share is not assessable. top: the largest counts, descending, at most TOP.
    """

    features: int = 0
    missing: int = 0
    negative: int = 0
    fractional: int = 0
    total: int = 0
    seen: int = 0
    expressed: int = 0
    mitochondrial: int = 0
    mitochondrial_features: int = 0
    ribosomal: int = 0
    ribosomal_features: int = 0
    spike: int = 0
    top: tuple[int, ...] = ()

    def __add__(self, other: Self) -> Self:
        merged = {
            name: getattr(self, name) + getattr(other, name)
            for name in self.__dataclass_fields__
            if name != "top"
        }
        return type(self)(**merged, top=tuple(nlargest(TOP, self.top + other.top)))

    @property
    def are_counts(self) -> bool:
        """Whether every value could be a number of reads."""
        return not (self.negative or self.fractional)

    def share(self, part: int, of_features: int = 1) -> float | None:
        """Return part of the total; None without reads, without such features, or not counts."""
        if not self.total or not of_features or not self.are_counts:
            return None
        return part / self.total

    def top_share(self, how_many: int) -> float | None:
        """Return the share of reads in the largest `how_many` (≤ TOP) features."""
        return self.share(sum(self.top[:how_many]))


def tally(values: npt.NDArray[np.float64], kinds: FeatureKinds) -> CountTally:
    """Count one sample's values, float64 [features], NaN = missing.

    Values that are not counts are tallied as such and add nothing to the sums.
    """
    missing = np.isnan(values)
    negative = values < 0
    whole = np.rint(values)
    fractional = ~missing & (values != whole)
    countable = ~(missing | negative | fractional) & (whole < 2**53)
    counts = np.where(countable, whole, 0).astype(np.int64)
    top = np.sort(counts[np.argpartition(counts, -TOP)[-TOP:]] if len(counts) > TOP else counts)
    return CountTally(
        features=len(values),
        missing=int(missing.sum()),
        negative=int(negative.sum()),
        fractional=int(fractional.sum()),
        total=int(counts.sum()),
        seen=int((counts > 0).sum()),
        expressed=int((counts >= DETECTED).sum()),
        mitochondrial=int(counts[kinds.mitochondrial].sum()),
        mitochondrial_features=int(kinds.mitochondrial.sum()),
        ribosomal=int(counts[kinds.ribosomal].sum()),
        ribosomal_features=int(kinds.ribosomal.sum()),
        spike=int(counts[kinds.spike].sum()),
        top=tuple(int(count) for count in top[::-1] if count > 0),
    )
