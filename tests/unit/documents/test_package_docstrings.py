"""The docstring of a package's `__init__.py` is the map of its modules for a new reader."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = sorted(
    init.parent
    for source in ("worker", "sandbox/recording_sandbox", "schemas/recording_schemas", "benchmarks")
    for init in (ROOT / source).glob("**/__init__.py")
)
NAMES = re.compile(r"`(\w+)/?`|\b(\w+)\.py\b|^ *(\w+)/ |\b([A-Z]+_[A-Z]+)\b", re.MULTILINE)
"""A name in backquotes, of a file, of a folder, or in the capitals of a diagram."""
FIRST_COLUMN = re.compile(r"^    (\S.*?)  ", re.MULTILINE)
"""The names at the left of a table, which is indented."""


@pytest.mark.parametrize(
    "package", PACKAGES, ids=[package.relative_to(ROOT).as_posix() for package in PACKAGES]
)
def test_the_docstring_of_each_package_names_each_of_its_modules(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    named = {name.lower() for names in NAMES.findall(docstring) for name in names}
    named |= {
        name for names in FIRST_COLUMN.findall(docstring) for name in re.findall(r"\w+", names)
    }
    modules = {file.stem for file in package.glob("*.py")} - {"__init__", "__main__"}
    modules |= {init.parent.name for init in package.glob("*/__init__.py")}
    assert modules - named == set()
