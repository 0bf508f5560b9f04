"""Rules that span several members, and the words for the rules that one member has."""

from functools import cache

import msgspec
from msgspec import inspect


class RuleBroken(ValueError):
    """A rule that a received object breaks, in words that never repeat a value.

    `member` is a dotted path, or None when the fault lies with several members or none.
    `says` follows the name of the member; where there is none it is the whole sentence.
    """

    def __init__(self, code: str, member: str | None, says: str) -> None:
        super().__init__(f"member `{member}` {says}" if member else says)
        self.code = code
        self.member = member
        self.says = says

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)

    def under(self, path: list[str]) -> "RuleBroken":
        """The same fault as seen from the object that `path` starts from."""
        if self.member is None:
            return self
        return RuleBroken(self.code, ".".join([*path, self.member]), self.says)


def type_at(struct: type[msgspec.Struct], path: list[str]) -> inspect.Type | None:
    """The type that `path` leads to inside `struct`, or None when it leads nowhere."""
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


def member_names(found: inspect.Type | None) -> list[str]:
    """The members an object of this type may have; none when it is no object."""
    bare = _bare(found) if found else None
    if not isinstance(bare, inspect.StructType):
        return []
    tag = [bare.tag_field] if bare.tag_field else []
    return tag + [field.encode_name for field in bare.fields]


def in_words(found: inspect.Type | None) -> str:
    """What a value of this type must be, to follow "must be"."""
    found = _without_none(found)
    if isinstance(found, inspect.Metadata):
        described = (found.extra_json_schema or {}).get("description")
        return str(described) if described else in_words(found.type)
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
    bare = _without_none(found)
    return bare.type if isinstance(bare, inspect.Metadata) else bare


def _without_none(found: inspect.Type | None) -> inspect.Type | None:
    if isinstance(found, inspect.UnionType):
        return next(t for t in found.types if not isinstance(t, inspect.NoneType))
    return found
