"""What frequent measurements can be in a living person, by unit: wide on purpose.

Concepts and units are OMOP's standard concepts (LOINC and UCUM; athena.ohdsi.org), the units those
that the OHDSI dashboard calls plausible for them. The bounds are ours: the extremes that case reports
describe, so that a value outside is in another unit, or a code. None: a unit in use, without bounds.
"""

from __future__ import annotations

Bounds = tuple[float, float] | None

_MG_DL, _MMOL_L, _UMOL_L, _G_DL, _G_L, _PERCENT = 8840, 8753, 8749, 8713, 8636, 8554
_CELLS: dict[int, Bounds] = {
    8848: (0.0, 1500.0),  # thousand per microlitre
    8961: (0.0, 1500.0),  # thousand per cubic millimetre
    9444: (0.0, 1500.0),  # billion per litre
    44777588: (0.0, 1500.0),  # billion cells per litre
    8816: (0.0, 1500.0),  # million per millilitre
    8647: (0.0, 1.5e6),  # per microlitre
    9436: None,
}
_PER_MINUTE, _COUNTED = 8541, 8483
_ENZYME: dict[int, Bounds] = {8645: (0.0, 30_000.0), 8923: (0.0, 30_000.0)}  # units per litre

MEASUREMENTS: dict[int, tuple[str, dict[int, Bounds]]] = {
    3004249: ("systolic pressure", {8876: (30, 320)}),
    3012888: ("diastolic pressure", {8876: (5, 220)}),
    3027018: ("heart rate", {_PER_MINUTE: (10, 350), _COUNTED: (10, 350)}),
    3024171: ("respiratory rate", {_PER_MINUTE: (1, 120), _COUNTED: (1, 120)}),
    3020891: ("body temperature", {586323: (20, 45), 9289: (68, 113)}),
    3025315: ("body weight", {9529: (0.2, 450), 8739: (0.5, 1000), 9346: None, 9373: None}),
    3036277: ("body height", {8582: (20, 260), 9327: (8, 103), 9330: (8, 103), 9546: (0.2, 2.6)}),
    3038553: ("body mass index", {9531: (5, 150)}),
    40762499: ("oxygen saturation", {_PERCENT: (10, 100)}),
    3004501: ("glucose", {_MG_DL: (10, 2500), _MMOL_L: (0.5, 140)}),
    3016723: ("creatinine", {_MG_DL: (0.05, 60), _UMOL_L: (4, 5300)}),
    3013682: ("urea nitrogen", {_MG_DL: (0.5, 400)}),
    3019550: ("sodium", {_MMOL_L: (85, 220), 9557: (85, 220)}),
    3023103: ("potassium", {_MMOL_L: (0.8, 15), 9557: (0.8, 15)}),
    3000963: ("haemoglobin", {_G_L: (12, 270), _G_DL: (1.2, 27)}),
    3023314: ("haematocrit", {_PERCENT: (3, 85), 44777604: None}),
    3004410: (
        "haemoglobin A1c",
        {_PERCENT: (2, 22), 8737: (2, 22), 9225: (2, 22), 9579: (0, 220)},
    ),
    3027114: ("cholesterol", {_MG_DL: (15, 1600)}),
    3007070: ("HDL cholesterol", {_MG_DL: (1, 250)}),
    3028437: ("LDL cholesterol", {_MG_DL: (1, 1200), 9028: (1, 1200)}),
    3022192: ("triglycerides", {_MG_DL: (5, 25_000), _MMOL_L: (0.05, 285)}),
    3000905: ("leukocytes", _CELLS),
    3010813: ("leukocytes", _CELLS),
    3024929: ("platelets", {**_CELLS, 8647: (0, 5e6), 9444: (0, 5000), 8848: (0, 5000)}),
    3024561: ("albumin", {_G_L: (3, 80), _G_DL: (0.3, 8)}),
    3024128: ("bilirubin", {_MG_DL: (0, 90), _UMOL_L: (0, 1540)}),
    3006923: ("alanine aminotransferase", _ENZYME),
    3013721: ("aspartate aminotransferase", _ENZYME),
    3020460: ("C-reactive protein", {8751: (0, 1000), _MG_DL: (0, 100)}),
}
