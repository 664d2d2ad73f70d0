"""The checks of images: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import sample_check
from cordon_common.qc.verdict import ReasonCode

IMAGES = "images"
_FEW = "one image in a hundred, as for records"

_sample = partial(sample_check, modality=IMAGES)

CHECKS = (
    _sample(
        "image.readable",
        ReasonCode.FILE_UNREADABLE,
        Bounds("share of images", "what cannot be read cannot teach", warn=0.0, fail=0.5),
        Wording(
            "Images readable",
            "Images are damaged or cut off.",
            "Export them again; compare their number with the archive's.",
        ),
    ),
    _sample(
        "image.blank",
        ReasonCode.SIGNAL_LOST,
        Bounds("share of images", "less than one grey level of spread shows nothing", warn=0.0),
        Wording(
            "No blank images",
            "Images have one colour all over.",
            "Leave them out; check the export's window and level.",
        ),
    ),
    _sample(
        "image.saturated",
        ReasonCode.LOW_QUALITY,
        Bounds("share of images with half their pixels at an end of the scale", _FEW, warn=0.01),
        Wording(
            "Exposure within the scale",
            "Half of an image is black or white.",
            "Check window and level of the export, and borders that should be cropped.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "image.duplicates",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("share of images", _FEW, warn=0.01),
        Wording(
            "Images counted once",
            "The same image, or one that differs by less than two grey levels, occurs again.",
            "Remove copies before the split.",
        ),
    ),
    _sample(
        "image.across-splits",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("images", "a test image that was trained on tests nothing", warn=0.0),
        Wording(
            "Splits without common images",
            "Images of one split occur in another.",
            "Split by patient, and remove copies first.",
        ),
    ),
    _sample(
        "image.conflicting-labels",
        ReasonCode.CONFLICTING_LABELS,
        Bounds("images", "an image has one label", warn=0.0),
        Wording(
            "One label per image",
            "Copies of one image carry different labels.",
            "Find out which label is right, or leave these images out.",
        ),
    ),
    _sample(
        "image.size",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of images of another size or colour mode than most", _FEW, warn=0.01),
        Wording(
            "Images of one size and mode",
            "Images differ in size, depth or number of channels.",
            "Resample to one grid; a scanner that is told by its image size is a batch.",
        ),
    ),
    _sample(
        "image.balance",
        ReasonCode.CLASS_IMBALANCE,
        Bounds("share of the most frequent label", "as for clinical tables", warn=0.95),
        Wording(
            "Labels balanced",
            "Nearly all images carry one label.",
            "Expect a model that says this label always; weigh or sample the classes.",
        ),
    ),
)
