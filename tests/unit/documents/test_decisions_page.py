"""docs/adr/index.md lists the decisions."""

import re
from pathlib import Path

DECISIONS = Path(__file__).parents[3] / "docs" / "adr"


def test_every_decision_is_listed_once_with_its_title() -> None:
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (DECISIONS / "index.md").read_text(), re.MULTILINE)
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    assert listed == [(_title(page), page.name) for page in pages]


def _title(page: Path) -> str:
    return page.read_text().splitlines()[0].removeprefix("# ")
