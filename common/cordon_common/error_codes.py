"""The closed table of error codes: stable, documented in `docs/errors.md`.

Prefix: US usage, PR protocol and formats, DA data, CK checks, IN integrity, PO policy, BU budget,
NE network, SY system, TR transport. A code is never re-used for another meaning.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from cordon_common.ledger.codes import LEDGER_CODES
from cordon_common.operation_codes import OPERATION_CODES
from cordon_common.qc.codes import QUALITY_CODES


@dataclass(frozen=True)
class CodeInfo:
    """What a code means and the next step that usually helps."""

    title: str
    fix: str


CODES: dict[str, CodeInfo] = {
    # -- usage -------------------------------------------------------------------------------
    "US001": CodeInfo("the command's arguments do not fit together", "run the command with --help"),
    "US002": CodeInfo("a file or folder that the command needs is not there", "check the path"),
    "US003": CodeInfo("the folder already holds something else", "choose an empty folder"),
    "US004": CodeInfo(
        "the site has not joined a coordinator", "run: cordon site join DIR KIT.json"
    ),
    "US005": CodeInfo("no open study of that name is approved here", "run: cordon site budget DIR"),
    "US010": CodeInfo(
        "the command comes with a package that is not installed here", "install the named package"
    ),
    "US011": CodeInfo("there is no such command", "run: cordon --help"),
    "US020": CodeInfo(
        "no coordinator lives in this folder", "run: cordon coordinator init DIR --name NAME"
    ),
    "US021": CodeInfo("there is no study of that name here", "run: cordon coordinator status"),
    "US022": CodeInfo(
        "the study has a campaign already", "run: cordon study resume, or cordon study report"
    ),
    "US023": CodeInfo("the study has no campaign yet", "run: cordon study launch"),
    "US024": CodeInfo(
        "the study names a site that is not enrolled with this key",
        "run: cordon coordinator enrol REQUEST.json, or correct the roster",
    ),
    "US025": CodeInfo(
        "a site of that name is enrolled with other keys",
        "choose another site name, or remove the old enrolment first",
    ),
    "US026": CodeInfo(
        "another version of this study was signed under the same number",
        "raise the study's version and sign again",
    ),
    "US040": CodeInfo(
        "the demo's folder has too long a path for unix sockets",
        "choose a shorter one: cordon demo --out /tmp/cordon-demo",
    ),
    "US041": CodeInfo(
        "the demo's folder holds something that is not an earlier demo",
        "choose another one: cordon demo --out DIR",
    ),
    "US042": CodeInfo(
        "the cohort folder holds no CSV or Parquet file, or only one",
        "put one file per hospital into it; the file's name becomes the hospital's",
    ),
    # -- protocol and formats ----------------------------------------------------------------
    "PR001": CodeInfo("the study is not valid", "correct the named field and run again"),
    "PR002": CodeInfo("the study file cannot be read as YAML", "correct the syntax and run again"),
    "PR003": CodeInfo(
        "the study is not signed by a trusted coordinator",
        "ask the coordinator for the signed study",
    ),
    "PR004": CodeInfo(
        "the configuration file is not valid", "correct the named field and run again"
    ),
    "PR005": CodeInfo(
        "a message does not follow the protocol", "check that both sides run the same version"
    ),
    "PR006": CodeInfo(
        "a message is larger than the cap", "raise the cap at the site or shrink the model"
    ),
    "PR007": CodeInfo("the study has no noise multipliers yet", "run: cordon study plan"),
    "PR008": CodeInfo(
        "the arrays of a message do not fit the study", "check that both sides run the same version"
    ),
    "PR009": CodeInfo(
        "the enrolment file is not valid", "run cordon site init again and resend the request"
    ),
    "PR010": CodeInfo(
        "a value has no canonical JSON form", "use finite numbers and integers below 2^53"
    ),
    "PR011": CodeInfo("the bytes are not strict JSON", "check the file"),
    # -- data --------------------------------------------------------------------------------
    "DA001": CodeInfo(
        "the data file is not there", "check the path; for a site: dataset.file in site.yaml"
    ),
    "DA002": CodeInfo("the data file is empty", "export the cohort again"),
    "DA003": CodeInfo(
        "the data file is a web page, not a table",
        "the download probably failed: log in and export the cohort again",
    ),
    "DA004": CodeInfo(
        "the data file is not UTF-8 text", "export it as UTF-8, or convert it with iconv -t UTF-8"
    ),
    "DA005": CodeInfo(
        "the columns of the data file are not separated by commas", "export it as comma-separated"
    ),
    "DA006": CodeInfo(
        "the data file has column names but no records", "check the filter of the export"
    ),
    "DA007": CodeInfo(
        "the data file lacks a column of the study", "add the column, empty if never measured"
    ),
    "DA008": CodeInfo(
        "a numeric column of the study holds text", "remove units and signs from its cells"
    ),
    "DA009": CodeInfo(
        "the outcome column does not follow the study", "recode it to the study's two outcomes"
    ),
    "DA010": CodeInfo(
        "the data file is larger than the site allows",
        "check that it is the right file; else raise limits.data_file_bytes in site.yaml",
    ),
    "DA011": CodeInfo("the Parquet file cannot be read", "write it again, or export it as CSV"),
    "DA012": CodeInfo(
        "a column name occurs twice in the data file", "rename or remove one of the two columns"
    ),
    "DA013": CodeInfo(
        "the CSV file is damaged",
        "check that every line has as many fields as the header and every quote is closed",
    ),
    "DA014": CodeInfo(
        "the data file is neither CSV nor Parquet", "export the cohort as CSV or Parquet"
    ),
    "DA015": CodeInfo(
        "the data file cannot be opened", "check that it is a file that the vault's user may read"
    ),
    "DA016": CodeInfo(
        "the patient id is missing in most records", "check that the export filled the id column"
    ),
    "DA017": CodeInfo(
        "the key that splits the patients is not 32 bytes", "run: cordon site doctor DIR"
    ),
    "DA018": CodeInfo(
        "the cohort holds more patients than the study's integer grid has room for",
        "ask the coordinator to lower training.grid_bits",
    ),
    "DA019": CodeInfo(
        "a column of sequences does not follow the study",
        "compare alphabet and length with the study's data dictionary, then export again",
    ),
    "PR020": CodeInfo(
        "the study names a QC profile that this version does not have",
        "update cordon, or ask the coordinator for a study with a known profile",
    ),
    "PR030": CodeInfo(
        "the study's sums may not fit the ring of integers",
        "lower training.grid_bits, or set training.ring_bits: 64",
    ),
    "PR031": CodeInfo(
        "no noise keeps the privacy promise of the study", "change privacy.epsilon or privacy.delta"
    ),
    "PR033": CodeInfo(
        "the integer grid is too coarse for a secure sum of this size",
        "raise training.grid_bits",
    ),
    "PR040": CodeInfo(
        "the model has a layer that the one-backward engine does not know",
        "use layers of the engine's list, or the reference engine",
    ),
    "PR041": CodeInfo(
        "the model shares or re-uses a layer, which breaks per-patient clipping",
        "give every use its own layer",
    ),
    "PR042": CodeInfo(
        "the model mixes records or is not differentiable per patient",
        "remove batch statistics and randomness inside the forward pass",
    ),
    # -- integrity ---------------------------------------------------------------------------
    "IN001": CodeInfo(
        "a signature does not verify", "ask the sender for the file again and compare fingerprints"
    ),
    "IN002": CodeInfo(
        "a key file cannot be read", "check the file and its permissions (0600, owner)"
    ),
    "IN020": CodeInfo(
        "the site answered under another identity than the roster's",
        "compare the key fingerprints with the site",
    ),
    "IN021": CodeInfo(
        "the receipt does not fit the release", "check that both sides run the same version"
    ),
    "IN022": CodeInfo(
        "the answer is for another request", "check that both sides run the same version"
    ),
    "IN030": CodeInfo(
        "a key of the secure sum is not the one that the roster's hospital signed for this run",
        "stop: somebody on the way exchanges keys; compare fingerprints with the other hospitals",
    ),
    # -- checks ------------------------------------------------------------------------------
    "CK020": CodeInfo(
        "fewer sites can take part than the study's minimum",
        "see who is missing and why: cordon study watch; then: cordon study resume",
    ),
    "CK021": CodeInfo(
        "the sites do not agree on the initial weights",
        "check that all sites run the same version",
    ),
    "CK022": CodeInfo("the quality gate excluded the site", "see the site's local QC report"),
    "CK023": CodeInfo(
        "the gate doubts what the site sent: a person must look",
        "ask the site; then: cordon study decide NAME SITE --let-in (or --keep-out) --because WHY",
    ),
    "CK030": CodeInfo(
        "the masks of a secure sum did not cancel: the sites were not asked the same, or one "
        "did not follow the protocol",
        "run cordon audit verify over all bundles to see who was asked what",
    ),
    "CK031": CodeInfo(
        "no attempt of the secure sum was answered by all of its sites",
        "see who dropped out: cordon study watch; then sign a new version of the study",
    ),
    "CK120": CodeInfo(
        "the file is not an audit bundle",
        "ask for the bundle again, as cordon site export wrote it",
    ),
    "CK130": CodeInfo(
        "a study whose audit failed is not registered",
        "look at the failed rows: cordon audit verify",
    ),
    "CK901": CodeInfo(
        "a process of the demo did not come up or ended early", "see the logs in the demo's folder"
    ),
    # -- policy ------------------------------------------------------------------------------
    "BU001": CodeInfo(
        "the dataset's lifetime privacy budget does not cover the study",
        "see what is left: cordon site budget",
    ),
    "BU002": CodeInfo(
        "the study's approved releases of this kind are used up",
        "resume the running campaign, or have a new version of the study approved",
    ),
    "PO100": CodeInfo(
        "the study is not approved at this site", "read it and approve it: cordon site approve"
    ),
    "PO101": CodeInfo(
        "this site, with this key, is not on the study's roster",
        "ask the coordinator to enrol the site and sign the study again",
    ),
    "PO102": CodeInfo(
        "the study asks for more privacy loss than the policy allows",
        "ask for a study with a smaller epsilon, or have the policy changed",
    ),
    "PO103": CodeInfo(
        "the study's minimum of patients or sites, or of what reports hide, is below the policy's",
        "ask the coordinator to raise qc.gate or qc.disclosure, or have the policy changed",
    ),
    "PO104": CodeInfo(
        "the study's algorithm, model or trust model is not allowed here",
        "see policy.yaml: study.algorithms, study.models, study.trust_models",
    ),
    "PO105": CodeInfo("the study's permit has ended", "ask for a study with a valid permit"),
    "PO106": CodeInfo(
        "the request is not part of the approved study",
        "check that the coordinator runs the approved study",
    ),
    "PO107": CodeInfo(
        "training was asked for before quality control",
        "check that the coordinator runs the approved study",
    ),
    "PO120": CodeInfo(
        "fewer sites take part in the secure sum than the study or the policy asks for",
        "wait for the missing sites; then: cordon study resume",
    ),
    "PO121": CodeInfo(
        "the secure sum names another key for this site than the vault holds",
        "the coordinator asks for the key again by itself; else: cordon study resume",
    ),
    "PO122": CodeInfo(
        "a later attempt of the secure sum was answered already",
        "resume the campaign from its newest state",
    ),
    "PO110": CodeInfo(
        "this place in the study was already used for another request",
        "resume the campaign instead of starting the round anew",
    ),
    "PO111": CodeInfo("the study is not approved in this ledger", "run: cordon site approve STUDY"),
    "PO112": CodeInfo("the study is closed at this site", "sign a new version of the study"),
    "PO113": CodeInfo(
        "the mechanism that runs here failed its newest probe for the study",
        "see the failed rows, repair the installation, then: cordon audit probe",
    ),
    "CK902": CodeInfo("a step of the demo failed", "see the logs in the demo's folder"),
    "CK903": CodeInfo(
        "the demo's federation did not hold what it must", "see the table and the report above"
    ),
    # -- network -----------------------------------------------------------------------------
    "NE001": CodeInfo(
        "the coordinator does not answer",
        "check its address, and that cordon coordinator serve runs",
    ),
    "NE002": CodeInfo(
        "the port is already in use", "stop the other program or choose another port"
    ),
    "NE003": CodeInfo(
        "the coordinator's TLS certificate is not trusted",
        "compare the fingerprint of the CA certificate in the site kit with the coordinator's",
    ),
    "NE004": CodeInfo(
        "this machine's clock is too far from the coordinator's",
        "set the clock with NTP (timedatectl set-ntp true) and start again",
    ),
    "NE005": CodeInfo(
        "the coordinator does not know this site's key",
        "send the enrolment request to the coordinator and start again once it is enrolled; "
        "if it is, stop the other gateway that uses this key",
    ),
    # -- transport ---------------------------------------------------------------------------
    "TR001": CodeInfo(
        "the installed Flower is not the one that this version of Cordon is built on",
        "install the pinned versions again (make install)",
    ),
    "TR002": CodeInfo("the site did not answer in time", "ask the site to look at its gateway"),
    "TR003": CodeInfo("the site went offline", "ask the site to start its gateway again"),
    "TR004": CodeInfo(
        "the site's gateway failed while answering", "ask the site to look at its gateway's log"
    ),
    "TR005": CodeInfo("the request could not be handed to the site", "check that it is enrolled"),
    "TR006": CodeInfo(
        "the site's reply is not in the agreed form", "check that both sides run the same version"
    ),
    "TR007": CodeInfo("the vault does not answer", "start it: cordon site vault"),
    "TR008": CodeInfo("the vault did not finish in time", "raise the vault's time limit"),
    "TR009": CodeInfo("the message was lost on the way", "run: cordon study resume"),
    "TR010": CodeInfo("the SuperLink did not start", "see its log in the coordinator's folder"),
    "TR011": CodeInfo(
        "the SuperLink refused a control request", "see its log in the coordinator's folder"
    ),
    "TR012": CodeInfo(
        "the gateway stops again and again", "see the lines above; run: cordon site doctor"
    ),
    "TR013": CodeInfo(
        "a gateway already runs in this folder", "stop the other gateway of this site first"
    ),
    "TR014": CodeInfo("the round ended before the site answered", "see why the other sites failed"),
    # -- system ------------------------------------------------------------------------------
    "SY001": CodeInfo(
        "the disk is full", "free space on the disk that holds the site's folder, then start again"
    ),
    "SY020": CodeInfo(
        "another process took over the campaign", "follow it with: cordon study watch"
    ),
    "SY022": CodeInfo(
        "the process that carried the campaign has ended", "run: cordon study resume NAME"
    ),
    "SY021": CodeInfo(
        "the coordinator's store cannot be used", "check the disk and the database URL"
    ),
    "SY003": CodeInfo("another vault already runs on this folder", "stop the other vault first"),
    "SY004": CodeInfo(
        "the folder's path is too long for a unix socket (100 bytes)",
        "choose a folder with a shorter path",
    ),
    "SY101": CodeInfo(
        "the log's file cannot be used", "check the disk, the file's owner and its permissions"
    ),
    "SY041": CodeInfo(
        "a release does not fit the integer grid", "lower training.grid_bits in the study"
    ),
    "SY042": CodeInfo(
        "there are more patients than the floating-point proof covers",
        "split the cohort into two sites",
    ),
    "SY043": CodeInfo(
        "site releases do not fit together: shape, type or overflow",
        "check that all sites run the same study",
    ),
    "SY010": CodeInfo(
        "the folder of the local report cannot be written",
        "check the folder's owner and permissions, or choose another with --output",
    ),
    "SY999": CodeInfo("an unexpected failure inside the program", "see the local log"),
    "CK101": CodeInfo(
        "fewer patients passed quality control than the study asks for",
        "see the local QC report for what excluded the others",
    ),
    "CK102": CodeInfo(
        "quality control excluded too large a share of the patients",
        "repair the most frequent reason in the local QC report at its source",
    ),
    "CK103": CodeInfo(
        "all usable records have the same outcome", "check the coding of the outcome column"
    ),
    "CK104": CodeInfo(
        "most values of a column look like another unit", "convert the column to the study's unit"
    ),
    "CK109": CodeInfo(
        "a quality check could not be carried out", "see the local QC report for the check"
    ),
    **{code: CodeInfo(title, fix) for code, (title, fix) in QUALITY_CODES.items()},
    **{code: CodeInfo(title, fix) for code, (title, fix) in OPERATION_CODES.items()},
    **{code: CodeInfo(title, fix) for code, (title, fix) in LEDGER_CODES.items()},
}


def as_markdown() -> str:
    """Render the table as the text of `docs/errors.md`."""
    lines = [
        "# Error codes",
        "",
        "Every failure that a person can cause or meet has one stable code. The table is generated",
        "from `cordon_common/error_codes.py`.",
        "",
        "| code | meaning | what usually helps |",
        "|---|---|---|",
    ]
    lines += [f"| {code} | {info.title} | {info.fix} |" for code, info in sorted(CODES.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
