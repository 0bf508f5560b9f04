"""The JSON Schema of each message, by type. They are made once, because that takes milliseconds."""

from typing import Any, Final

from recording_schemas.json_schema import documents

SCHEMAS: Final[dict[str, dict[str, Any]]] = documents()
