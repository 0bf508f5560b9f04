"""The pages on reliability name tests: each must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = "\n".join(
    (ROOT / "docs" / "explanation" / name).read_text()
    for name in ("reliability.md", "fault-tests.md")
)
FILES = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
CODE = "\n".join(path.read_text() for path in FILES)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_the_page_names_is_there(name: str) -> None:
    assert f"def {name}(" in CODE


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)", PAGE))))
def test_a_file_of_tests_that_the_page_names_is_there(name: str) -> None:
    assert name in {path.name for path in FILES}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bFAULT_[A-Z_]+", PAGE))))
def test_a_variable_that_the_page_names_makes_some_test_longer(name: str) -> None:
    assert f'"{name}"' in CODE
