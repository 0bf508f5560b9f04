"""Subscribers that use FastStream read the events with the decoder of the package."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from recording_schemas.export import HOME

PYTHON = HOME.parent / ".venv-integrations/bin/python"
PROGRAM = Path(__file__).parent / "faststream_subscriber.py"


def _delivered(*paths: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [PYTHON, PROGRAM, *paths],
        env=os.environ | {"PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_handler_of_faststream_receives_every_kind_of_event(tmp_path: Path) -> None:
    later = json.loads((HOME / "examples/recording.completed.v1.json").read_text())
    unknown = tmp_path / "later.json"
    unknown.write_text(json.dumps(later | {"type": "recording.completed.v2"}))
    paths = sorted((HOME / "examples").glob("*.v1.json"))

    *delivered, refused = _delivered(*paths, unknown)

    assert [event["id"] for event in delivered] == [
        json.loads(path.read_text())["id"] for path in paths
    ]
    assert {"FileReady", "Completed", "CommandRejected"} <= {event["data"] for event in delivered}
    assert "unknown to this version" in refused["error"]
