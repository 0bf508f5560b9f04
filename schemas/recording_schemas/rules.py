"""Broken rules, and facts about a field from its type: its names, and its rule in words."""

from functools import cache

import msgspec
from msgspec import inspect


class RuleBroken(ValueError):
    """A received object breaks a rule. The text never repeats a received value.

    `field` is a path (see `written_path`), or None if the fault lies with several fields or with
    none. `fault` completes the sentence that begins with the field; without a field it is the whole
    sentence.
    """

    def __init__(self, code: str, field: str | None, fault: str) -> None:
        super().__init__(f"field `{field}` {fault}" if field else fault)
        self.code = code
        self.field = field
        self.fault = fault

    @property
    def message(self) -> str:
        """The whole sentence, for people."""
        return str(self)

    def under(self, path: list[str]) -> "RuleBroken":
        """The same fault, with `path` put before the field's path."""
        if self.field is None or not path:
            return self
        return RuleBroken(self.code, f"{written_path(path)}.{self.field}", self.fault)


def written_path(steps: list[str]) -> str:
    """The path as `field` has it, such as `layers.default` or `user_ids[3]`.

    A step of digits is a place in a list: no field has such a name.
    """
    return "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps)[1:]


def type_at(struct: type[msgspec.Struct], path: list[str]) -> inspect.Type | None:
    """The type of the field at `path` inside `struct`, None if there is no such field."""
    found: inspect.Type = _info(struct)
    for step in path:
        holder = _bare(found)
        if isinstance(holder, inspect.StructType):
            fields = {field.encode_name: field.type for field in holder.fields}
            if step not in fields:
                return None
            found = fields[step]
        elif isinstance(holder, inspect.VarTupleType):
            found = holder.item_type
        else:
            return None
    return found


def field_names(found: inspect.Type | None) -> list[str]:
    """The fields that an object of this type may have. Empty if the type is no object."""
    bare = _bare(found) if found else None
    if not isinstance(bare, inspect.StructType):
        return []
    tag = [bare.tag_field] if bare.tag_field else []
    return tag + [field.encode_name for field in bare.fields]


def in_words(found: inspect.Type | None) -> str:
    """The rule for a value of this type, in words that complete "must be"."""
    found = _without_none(found)
    if isinstance(found, inspect.Metadata):
        rule = (found.extra or {}).get("rule")
        return str(rule) if rule else in_words(found.type)
    match found:
        case inspect.LiteralType(values=(only,)):
            return str(only)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.IntType(ge=low, le=high) if low is not None and high is not None:
            return f"a whole number from {low} to {high}"
        case inspect.BoolType():
            return "true or false"
        case inspect.StructType():
            return "an object"
    return "of another form"


@cache
def _info(struct: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(struct)


def _bare(found: inspect.Type) -> inspect.Type | None:
    """The type without its metadata and without null."""
    bare: inspect.Type | None = found
    while isinstance(bare, inspect.Metadata | inspect.UnionType):
        bare = bare.type if isinstance(bare, inspect.Metadata) else _without_none(bare)
    return bare


def _without_none(found: inspect.Type | None) -> inspect.Type | None:
    if isinstance(found, inspect.UnionType):
        return next(t for t in found.types if not isinstance(t, inspect.NoneType))
    return found
