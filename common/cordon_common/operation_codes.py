"""Error codes of operation: installing, enrolling, backing up, upgrading; part of `error_codes`."""

OPERATION_CODES: dict[str, tuple[str, str]] = {
    "US070": (
        "a part of Cordon that this command needs is not installed",
        "install the extra that the message names",
    ),
    "US071": (
        "the site was revoked; its keys are refused for ever",
        "make new keys at the hospital with `cordon site init` in another folder, and enrol those",
    ),
    "US072": (
        "the enrolment request is older than the one that was used",
        "ask the site for its newest enrolment-request.json",
    ),
    "US073": (
        "the site has joined a coordinator under another key",
        "compare the words by telephone; to change for good: cordon site join --replace",
    ),
    "US074": (
        "the file is not a whole backup, or not a coordinator's bundle",
        "check the path, or take another copy",
    ),
    "CK070": (
        "a part of the installation is not ready",
        "run: cordon site doctor DIR, and see the part's log",
    ),
    "IN130": (
        "the software is not a release of the publisher, or was changed after it was built",
        "pull the image again by its digest, from the publisher's list",
    ),
    "SY070": (
        "the coordinator's store was made by another version",
        "stop the coordinator, then run: cordon coordinator upgrade DIR",
    ),
    "SY071": ("the port for metrics cannot be opened", "choose another port, or stop what uses it"),
    "SY072": (
        "site.yaml asks for a CUDA device and there is none that this torch can use",
        "set performance.device: cpu in site.yaml, or install the CUDA build of torch and a driver",
    ),
    "SY073": (
        "the device does not compute as the privacy proof needs",
        "set performance.device: cpu in site.yaml, then start the vault again",
    ),
}
