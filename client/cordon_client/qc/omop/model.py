"""The tables of the OMOP Common Data Model that are read, 5.3 and 5.4, by their public field names.

Source: OMOP Common Data Model v5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html. The two
versions require the same fields of these tables.
"""

from __future__ import annotations

from dataclasses import dataclass

MALE, FEMALE = 8507, 8532
"""The standard concepts of the domain Gender."""
NO_CONCEPT = 0
"""The concept of what could not be mapped."""


@dataclass(frozen=True)
class CdmTable:
    """One table.

    key: its primary key; concept: the standard concept of a row; required: fields that must be
    there and filled; start, end: when the row's event began and ended (dates).
    """

    name: str
    key: str | None
    required: tuple[str, ...]
    concept: str | None = None
    start: str | None = None
    end: str | None = None


def _event(name: str, stem: str, start: str, end: str | None, *more: str) -> CdmTable:
    key, concept = f"{name}_id", f"{stem}_concept_id"
    required = (key, "person_id", concept, start, *more, f"{stem}_type_concept_id")
    return CdmTable(name, key, required, concept, start, end)


PERSON = CdmTable(
    "person",
    "person_id",
    ("person_id", "gender_concept_id", "year_of_birth", "race_concept_id", "ethnicity_concept_id"),
    "gender_concept_id",
)
DEATH = CdmTable("death", None, ("person_id", "death_date"), start="death_date")
PERIOD = CdmTable(
    "observation_period",
    "observation_period_id",
    (
        "observation_period_id",
        "person_id",
        "observation_period_start_date",
        "observation_period_end_date",
        "period_type_concept_id",
    ),
    start="observation_period_start_date",
    end="observation_period_end_date",
)
VISIT = _event("visit_occurrence", "visit", "visit_start_date", "visit_end_date", "visit_end_date")
MEASUREMENT = _event("measurement", "measurement", "measurement_date", None)

EVENTS = (
    VISIT,
    _event(
        "visit_detail",
        "visit_detail",
        "visit_detail_start_date",
        "visit_detail_end_date",
        "visit_detail_end_date",
        "visit_occurrence_id",
    ),
    _event("condition_occurrence", "condition", "condition_start_date", "condition_end_date"),
    _event(
        "drug_exposure",
        "drug",
        "drug_exposure_start_date",
        "drug_exposure_end_date",
        "drug_exposure_end_date",
    ),
    _event("procedure_occurrence", "procedure", "procedure_date", "procedure_end_date"),
    _event("device_exposure", "device", "device_exposure_start_date", "device_exposure_end_date"),
    MEASUREMENT,
    _event("observation", "observation", "observation_date", None),
    _event("specimen", "specimen", "specimen_date", None),
)
TABLES = {table.name: table for table in (PERSON, DEATH, PERIOD, *EVENTS)}
"""In the order in which they are read: who there is and when, before what happened to them."""

UNREAD = {
    "location": "location_id",
    "note": "note_id",
    "care_site": "care_site_id",
    "provider": "provider_id",
    "payer_plan_period": "payer_plan_period_id",
    "cost": "cost_id",
    "drug_era": "drug_era_id",
    "dose_era": "dose_era_id",
    "condition_era": "condition_era_id",
    "episode": "episode_id",
    "episode_event": "episode_id",
    "note_nlp": "note_nlp_id",
    "fact_relationship": "fact_id_1",
    "metadata": "metadata_concept_id",
    "cdm_source": "cdm_source_name",
    "concept": "concept_id",
    "vocabulary": "vocabulary_id",
    "domain": "domain_id",
    "concept_class": "concept_class_id",
    "concept_relationship": "concept_id_1",
    "relationship": "relationship_id",
    "concept_synonym": "concept_id",
    "concept_ancestor": "ancestor_concept_id",
    "source_to_concept_map": "source_code",
    "drug_strength": "drug_concept_id",
    "cohort": "cohort_definition_id",
    "cohort_definition": "cohort_definition_id",
    "attribute_definition": "attribute_definition_id",
}
"""The model's other tables, and a field by which each is known: no patient's events, so not read."""

PLACES_AND_TEXT = ("location", "note")
"""Tables that no study needs and that tell who somebody is."""
