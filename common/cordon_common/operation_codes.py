"""Error codes of operation: installing, enrolling, backing up, upgrading; part of `error_codes`."""

OPERATION_CODES: dict[str, tuple[str, str]] = {
    "US050": (
        "a part of Cordon that this command needs is not installed",
        "install the extra that the message names",
    ),
    "US051": (
        "the site was revoked; its keys are refused for ever",
        "make new keys at the hospital with `cordon site init` in another folder, and enrol those",
    ),
    "US052": (
        "the enrolment request is older than the one that was used",
        "ask the site for its newest enrolment-request.json",
    ),
    "US053": (
        "the site has joined a coordinator under another key",
        "compare the words by telephone; to change for good: cordon site join --replace",
    ),
    "SY050": (
        "the coordinator's store was made by another version",
        "stop the coordinator, then run: cordon coordinator upgrade DIR",
    ),
    "SY051": ("the port for metrics cannot be opened", "choose another port, or stop what uses it"),
}
