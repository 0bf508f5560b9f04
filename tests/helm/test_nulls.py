"""Null, as a key without a value in a values file, is refused by name or is as good as empty."""

import copy
import re
from typing import Any, Final

import pytest

from tests.helm import documents
from tests.helm.chart import MINIMAL, Values, manifests, merged, refusal
from tests.helm.test_every_value import ON

EMPTY: Final = [value.path for value in documents.values() if value.default in ([], {})]
NEEDED: Final = documents.needed_names()
BASE: Final = merged(
    ON,
    {"webhooks": {"httpRoute": {"enabled": False}}, "dnsPolicy": ""},
    {"archive": {"url": "s3://meetings", "volume": {}}},
)
"""As many switches as possible, but not those that need a list."""


def at(path: tuple[str, ...], value: Any) -> Values:
    """A value at its path."""
    for name in reversed(path):
        value = {name: value}
    found: Values = value
    return found


def test_null_is_as_good_as_an_empty_list_or_mapping() -> None:
    left_out = copy.deepcopy(BASE)
    for path in EMPTY:
        section: Any = left_out
        for name in path[:-1]:
            section = section.get(name, {})
        section.pop(path[-1], None)
    null = merged(BASE, *(at(path, None) for path in EMPTY))
    assert manifests(null) == manifests(left_out)


@pytest.mark.parametrize("section", NEEDED, ids=lambda section: ".".join(section) or "top")
def test_null_is_refused_by_name_where_a_value_is_needed(section: tuple[str, ...]) -> None:
    nulls = at(section, dict.fromkeys(NEEDED[section]))
    message = refusal(merged(MINIMAL, nulls))
    (line,) = [line for line in message.splitlines() if "missing propert" in line]
    assert f"at '{'/'.join(('', *section))}': missing" in line
    assert set(re.findall(r"'(\w+)'", line.partition(" missing ")[2])) == set(NEEDED[section])
