"""Validates each example with the Pydantic model that datamodel-codegen made of its schema.

Usage: validate_generated_models.py MODELS EXAMPLES. The environment of the integrators has
Pydantic, so this runs as a program. It prints the names of the messages that the models accept.
"""

import importlib
import sys
from pathlib import Path

models, examples = map(Path, sys.argv[1:])
sys.path.insert(0, str(models.parent))
for example in sorted(examples.glob("*.json")):
    module = importlib.import_module(f"{models.name}.{example.stem.replace('.', '_')}")
    *_, root = (
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    )
    root.model_validate_json(example.read_text())  # type: ignore[attr-defined]
    print(example.stem)
