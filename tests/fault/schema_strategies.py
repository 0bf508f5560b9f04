"""Generates values from a JSON Schema: valid, and as unusual as the schema allows.

Only the keywords of the published schemas are understood; all others are refused. So a new keyword
in the schemas cannot be left out unnoticed.
"""

import re
from datetime import timedelta, timezone
from functools import partial
from typing import Any, Final

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

Schema = dict[str, Any]

WORDS: Final = {"$schema", "$id", "$defs", "title", "description", "examples"}
RULES: Final = {"allOf", "oneOf", "if", "then", "not"}
"""Rules about several fields: values are generated without them, then filtered by them."""
KNOWN: Final = {
    "array": {"items", "minItems", "maxItems"},
    "boolean": set[str](),
    "integer": {"minimum", "maximum"},
    "null": set[str](),
    "number": {"minimum", "maximum"},
    "object": {"properties", "required", "additionalProperties", *RULES},
    "string": {"pattern", "format", "minLength", "maxLength"},
}
MAP: Final = {"additionalProperties", "maxProperties"}
"""Rules of an object whose names are free."""
SCALARS: Final = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
OFFSETS: Final = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FORMATS: Final = {
    "date-time": st.datetimes(timezones=OFFSETS).map(lambda time: time.isoformat()),
    "uri-reference": st.from_regex(r"[a-z]*:?[/a-z0-9._~-]+", fullmatch=True),
}


def values_for(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Values, as JSON builtins, that `schema` accepts; `root` is the document of its `$ref`s.

    Raises NotImplementedError with the name of a keyword that is not understood.
    """
    rules = {word: rule for word, rule in schema.items() if word not in WORDS}
    match rules:
        case {"$ref": str(where), **rest} if not rest:
            return values_for(_at(where, root), root)
        case {"enum": list(values), **rest} if rest.keys() <= {"type"}:
            return st.sampled_from(values)
        case {"const": value, **rest} if rest.keys() <= {"type"}:
            return st.just(value)
        case {"anyOf": list(ways), **rest} if not rest:
            return st.one_of([values_for(way, root) for way in ways])
        case {"type": "object", "propertyNames": names, **rest} if rest.keys() <= MAP:
            return _maps({"type": "string", **names}, rest, root)
        case {"type": str(kind), **rest} if rest.keys() <= KNOWN.get(kind, set()):
            return _of_type(kind, rest, root)
    raise NotImplementedError(f"no values are made from {rules}")


def _at(where: str, root: Schema) -> Schema:
    found: Schema = root
    for step in where.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _of_type(kind: str, rules: Schema, root: Schema) -> st.SearchStrategy[Any]:
    match kind:
        case "object":
            return _objects(rules, root)
        case "array":
            fewest, most = rules.get("minItems", 0), rules.get("maxItems")
            few = st.lists(values_for(rules["items"], root), min_size=fewest, max_size=most)
            return few if most is None else few | few.map(lambda made: (made * most)[:most])
        case "string":
            return _strings(rules)
        case "integer":
            # JSON Schema calls 60.0 an integer too, but the published schemas never give a
            # fraction.
            return st.integers(rules.get("minimum"), rules.get("maximum"))
        case "number":
            return st.floats(
                rules.get("minimum"), rules.get("maximum"), allow_nan=False, allow_infinity=False
            )
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
    raise NotImplementedError(f"no values are made of the type {kind}")


@st.composite
def _shuffled(draw: st.DrawFn, made: Schema) -> Schema:
    return dict(draw(st.permutations(list(made.items()))))


def _maps(names: Schema, rules: Schema, root: Schema) -> st.SearchStrategy[Schema]:
    values = values_for(rules["additionalProperties"], root)
    return st.dictionaries(values_for(names, root), values, max_size=rules["maxProperties"])


def _objects(object_rules: Schema, root: Schema) -> st.SearchStrategy[Schema]:
    fields = {name: rule for name, rule in object_rules["properties"].items() if rule is not False}
    must = set(object_rules.get("required", []))
    made = st.fixed_dictionaries(
        {name: values_for(rule, root) for name, rule in fields.items() if name in must},
        optional={
            name: values_for(rule, root) for name, rule in fields.items() if name not in must
        },
    )
    if object_rules.get("additionalProperties", True):
        unknown = st.text(max_size=10).filter(lambda name: name not in object_rules["properties"])
        more = st.dictionaries(unknown, SCALARS, max_size=2)
        made = st.builds(lambda known, added: {**known, **added}, made, more)
    if rules := {word: rule for word, rule in object_rules.items() if word in RULES}:
        made = made.filter(Draft202012Validator(rules).is_valid)
    return made.flatmap(_shuffled)


def _strings(rules: Schema) -> st.SearchStrategy[str]:
    fewest, most = rules.get("minLength", 0), rules.get("maxLength")
    pattern = rules.get("pattern", "")
    fits = partial(re.search, pattern)
    ways = [FORMATS[rules["format"]].filter(fits)] if "format" in rules else []
    if "$" in pattern:
        # In JSON Schema `$` is the very end; in Python it also matches before a last "\n".
        ways.append(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    elif not ways:
        ways.append(st.text(min_size=fewest, max_size=most).filter(fits))
    if most is not None and fits("x" * most):
        longest = st.sampled_from("x\N{GRINNING FACE}").map(lambda letter: letter * most)
        ways.append(longest.filter(fits))
    return st.one_of(ways).filter(lambda text: fewest <= len(text) <= (most or len(text)))
