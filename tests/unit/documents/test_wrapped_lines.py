"""Lines of the documents begin no list by mistake."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.documents.test_names_in_documents import PAGES, ROOT, ids

FENCE = re.compile(r"^ *(```|~~~)")
ITEM = re.compile(r"^( *)(\d+)[.)] ")


@pytest.mark.parametrize("page", [*PAGES, *sorted(ROOT.glob("docs/adr/*.md"))], ids=ids)
def test_no_number_at_the_end_of_a_sentence_begins_a_line(page: Path) -> None:
    """Otherwise the page shows an item of a list in its place, without the number."""
    assert list(misplaced_numbers(page.read_text())) == []


def test_a_number_that_begins_a_line_is_found_unless_it_continues_a_list() -> None:
    text = "1. one\n\n   more\n2. two\n- by default\n  500. Then\n```sh\n7. x\n```\n3. three\n"
    assert list(misplaced_numbers(text)) == ["  500. Then"]


def misplaced_numbers(text: str) -> Iterator[str]:
    last: dict[str, int] = {}
    is_code = False
    for line in text.splitlines():
        if FENCE.match(line):
            is_code = not is_code
        if is_code or not (item := ITEM.match(line)):
            continue
        number = int(item[2])
        if number not in {1, last.get(item[1], 0) + 1}:
            yield line
        else:
            last[item[1]] = number
