"""The pages on reliability name tests: each must be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = "\n".join(
    (ROOT / "docs" / "explanation" / name).read_text()
    for name in ("reliability.md", "fault-tests.md")
)


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """All modules of tests but this one."""
    return [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]


@pytest.fixture(scope="module")
def code(files: list[Path]) -> str:
    return "\n".join(path.read_text() for path in files)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_the_page_names_is_there(name: str, code: str) -> None:
    assert f"def {name}(" in code


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)", PAGE))))
def test_a_file_of_tests_that_the_page_names_is_there(name: str, files: list[Path]) -> None:
    assert name in {path.name for path in files}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bFAULT_[A-Z_]+", PAGE))))
def test_a_variable_that_the_page_names_makes_some_test_longer(name: str, code: str) -> None:
    assert f'"{name}"' in code
