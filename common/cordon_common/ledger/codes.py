"""The codes of ledgers and logs, with meaning and usual help; part of the table in `error_codes`."""

LEDGER_CODES: dict[str, tuple[str, str]] = {
    "SY102": (
        "this machine's clock is behind its own ledger",
        "set the clock with NTP (timedatectl set-ntp true), then: cordon site doctor",
    ),
    "IN101": (
        "the log's entries do not fit its tree",
        "stop, keep the file for the auditor, and restore the last whole backup",
    ),
    "IN102": (
        "the log's head is not signed by this key",
        "check that log and key belong together; otherwise keep the file for the auditor",
    ),
    "IN103": (
        "an entry of the log is not valid",
        "check that the newest version of Cordon is installed",
    ),
    "IN104": (
        "the log belongs to another site, dataset or key",
        "check which folder is being used",
    ),
    "IN105": ("a checkpoint is not valid", "ask for the checkpoint again"),
    "IN106": (
        "the log is missing",
        "restore it from the backup; never start a new one for data that was already used",
    ),
    "IN107": (
        "the log was rolled back or replaced while it was in use",
        "stop, keep the file for the auditor, and restore the newest backup",
    ),
    "IN108": ("a receipt is not valid", "check that both sides run the same version"),
    "IN109": (
        "an entry of the log cannot follow from those before it",
        "stop, and keep the file for the auditor",
    ),
    "IN110": (
        "a stored answer is not the one that was given",
        "stop, keep the file for the auditor, and restore the last whole backup",
    ),
    "IN111": (
        "the coordinator's log was forked: it signed two different histories",
        "stop; export the ledger for the auditor, who finds both signed heads in it",
    ),
    "IN112": (
        "the coordinator's log does not continue the one that this site saw last",
        "ask the coordinator whether its log was restored from a backup; it must bring the newest",
    ),
    "IN113": (
        "the coordinator's log does not tell what became of this site's last release",
        "ask the coordinator for its bundle and compare: cordon audit verify",
    ),
    "IN114": (
        "the request shows no signed head of the coordinator's log",
        "check that both sides run the same version and that the study's signer is the coordinator",
    ),
    "IN115": (
        "this site's ledger lacks a release that it once signed for: it was rolled back",
        "stop the vault and restore the newest backup of the site's folder",
    ),
    "IN116": (
        "the log was written by an older version of Cordon",
        "upgrade it once, with nothing else running: cordon site upgrade (or: cordon coordinator "
        "upgrade)",
    ),
    "IN117": (
        "the site's cosignature of the log does not fit",
        "compare the key fingerprints with the site",
    ),
}
