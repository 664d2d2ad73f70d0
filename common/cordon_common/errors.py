"""The one error tree.

CordonError
├── UsageError        the command was called wrongly                      exit 2
├── ProtocolError     a study, message or file breaks its format          exit 2
├── DataError         the cohort cannot be used as it is                  exit 1
├── CheckFailed       a verification or quality check did not hold        exit 1
├── IntegrityError    a ledger, signature or digest does not fit          exit 1
├── PolicyRefused     the hospital's policy says no                       exit 3
│   └── BudgetExhausted   the privacy budget says no                      exit 3
├── UnreachableError  a peer or socket does not answer                    exit 4
└── SystemFault       disk, port, key file: the machine's state           exit 1

Every error carries a code from the closed table in `error_codes.py`. A code that crosses the
vault's socket travels alone: its text is looked up again on the other side, so that no exception
text can carry data.
"""

from __future__ import annotations

from cordon_common.error_codes import CODES, CodeInfo


class CordonError(Exception):
    """A failure with a stable code; says what failed, why, and what to do next.

    Texts never hold patient data, cell values or data-file paths.
    """

    exit_code = 1

    def __init__(self, code: str, what: str = "", *, why: str = "", fix: str = "") -> None:
        info = CODES[code]
        self.code = code
        self.what = what or info.title
        self.why = why
        self.fix = fix or info.fix
        super().__init__(f"{code}: {self.what}")

    @property
    def info(self) -> CodeInfo:
        """The row of `docs/errors.md` that explains this code."""
        return CODES[self.code]


class UsageError(CordonError):
    """The command line or configuration asks for something that cannot be."""

    exit_code = 2


class ProtocolError(CordonError):
    """A study, message or file does not follow its format."""

    exit_code = 2


class DataError(CordonError):
    """The cohort cannot be used as it is."""


class CheckFailed(CordonError):
    """A verification or a quality check did not hold."""


class IntegrityError(CordonError):
    """A ledger, signature or digest does not fit."""


class PolicyRefused(CordonError):
    """The hospital's policy refuses the request."""

    exit_code = 3


class BudgetExhausted(PolicyRefused):
    """The request would spend more privacy than the hospital has left."""


class UnreachableError(CordonError):
    """A peer or a socket does not answer."""

    exit_code = 4


class SystemFault(CordonError):
    """The machine is not in a state to work: disk, port, key file, clock."""


_FAMILIES: dict[str, type[CordonError]] = {
    "US": UsageError,
    "PR": ProtocolError,
    "DA": DataError,
    "CK": CheckFailed,
    "IN": IntegrityError,
    "PO": PolicyRefused,
    "BU": BudgetExhausted,
    "NE": UnreachableError,
    "SY": SystemFault,
    "TR": SystemFault,
}


def error_for(code: str) -> CordonError:
    """Rebuild the error for a code that arrived alone; an unknown code becomes SY999."""
    if code not in CODES:
        code = "SY999"
    return _FAMILIES[code[:2]](code)
