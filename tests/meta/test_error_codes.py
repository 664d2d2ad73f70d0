"""The table of error codes, its page and the sources agree with each other."""

import re
from pathlib import Path

from cordon_common.error_codes import CODES, as_markdown

ROOT = Path(__file__).resolve().parents[2]
TABLE = {
    "common/cordon_common/error_codes.py",
    "common/cordon_common/operation_codes.py",
    "common/cordon_common/ledger/codes.py",
    "common/cordon_common/qc/codes.py",
}
PREFIXES = "|".join(sorted({code[:2] for code in CODES}))
CODE = re.compile(rf"^(?:{PREFIXES})\d{{3}}$")


def used_codes(shipped):
    """Code → files that name it, the table itself left out."""
    used = {}
    for source in shipped:
        if source.name not in TABLE:
            for value in source.strings():
                if CODE.match(value):
                    used.setdefault(value, set()).add(source.name)
    return used


def test_the_page_of_error_codes_is_fresh():
    assert (ROOT / "docs" / "errors.md").read_text() == as_markdown()


def test_every_code_in_the_sources_has_a_row(shipped):
    unknown = {code: files for code, files in used_codes(shipped).items() if code not in CODES}
    assert unknown == {}


def test_every_row_is_used_by_some_source(shipped):
    assert sorted(set(CODES) - set(used_codes(shipped))) == []


def test_every_code_is_tested_or_at_least_named_by_a_test(sources):
    """A code that no test names is a message that nobody has seen."""
    words = "\n".join(
        s.text for s in sources if s.name.startswith("tests/") and s.path != Path(__file__)
    )
    assert sorted(code for code in CODES if code not in words) == []


def test_every_row_says_what_and_what_to_do_in_plain_words():
    for code, info in CODES.items():
        assert re.fullmatch(r"[A-Z]{2}\d{3}", code)
        assert info.title
        assert info.fix
        assert "\n" not in info.title + info.fix
        assert "|" not in info.title + info.fix
        assert not info.title.endswith(".")
