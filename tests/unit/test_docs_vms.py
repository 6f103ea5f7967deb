"""docs/vms.md says what the code says: the table of errors, and every finding of the check."""

import re
from pathlib import Path

from shared.decide.known_errors import KNOWN_ERRORS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/vms.md"
TABLE = re.compile(r"(?<=<!-- errors -->\n).*?(?=<!-- /errors -->)", re.DOTALL)
FINDING = re.compile(r"\b(?:ok|warning|problem|told|full)\(\s*\"([A-Z][A-Za-z]+)\"")


def table() -> str:
    """The errors as the page shows them."""
    ordered = sorted(KNOWN_ERRORS, key=lambda each: each.code.casefold())
    rows = [
        f"| {each.code} | {each.number or ''} | {each.meaning} | {each.action} |\n"
        for each in ordered
    ]
    return "| code | number | means | do this |\n|---|---|---|---|\n" + "".join(rows)


def test_the_table_of_errors_is_the_codes() -> None:
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == table()


def test_every_finding_is_on_the_page_and_no_other() -> None:
    sources = (ROOT / "shared/decide").glob("vm_*.py")
    made = {code for path in sources for code in FINDING.findall(path.read_text(encoding="utf-8"))}
    page = PAGE.read_text(encoding="utf-8").partition("### What the check finds")[2]
    rows = page.partition("\n## ")[0].splitlines()[4:]
    told = {code.strip() for row in rows if row for code in row.split("|")[1].split(",")}
    assert told == made


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8")))
