"""The closed table of error codes: stable, documented in `docs/errors.md`.

Prefix: US usage, PR protocol and formats, DA data, CK checks, IN integrity, PO policy, BU budget,
NE network, SY system, TR transport. A code is never re-used for another meaning.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass


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
    "CK030": CodeInfo(
        "local quality control failed, so the cohort must not train",
        "see the local report: vault/reports in the site's folder",
    ),
    "CK901": CodeInfo(
        "a process of the demo did not come up or ended early", "see the logs in the demo's folder"
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
        "send the enrolment request to the coordinator and start again once it is enrolled",
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
        "the submitted job is not the one that this coordinator runs",
        "submit it with cordon study launch",
    ),
    "TR014": CodeInfo(
        "a gateway already runs in this folder", "stop the other gateway of this site first"
    ),
    # -- policy and budget: the hospital's own no ------------------------------------------------
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
        "the study's minimum of patients or sites is below the policy's floor",
        "ask the coordinator to raise qc.gate, or have the policy changed",
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
    "BU001": CodeInfo(
        "the dataset's lifetime privacy budget does not cover the study",
        "see what is left: cordon site budget",
    ),
    "BU002": CodeInfo(
        "the study's approved releases of this kind are used up",
        "resume the running campaign, or have a new version of the study approved",
    ),
    # -- system ------------------------------------------------------------------------------
    "SY001": CodeInfo(
        "the disk is full", "free space on the disk that holds the site's folder, then start again"
    ),
    "SY020": CodeInfo(
        "another process took over the campaign", "follow it with: cordon study watch"
    ),
    "SY021": CodeInfo(
        "the coordinator's store cannot be used", "check the disk and the database URL"
    ),
    "SY003": CodeInfo("another vault already runs on this folder", "stop the other vault first"),
    "SY004": CodeInfo(
        "the folder's path is too long for a unix socket (100 bytes)",
        "choose a folder with a shorter path",
    ),
    "SY999": CodeInfo("an unexpected failure inside the program", "see the local log"),
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
