"""RabbitMQ's program without what belongs to optional plugins, which a private node has none of.

Erlang looks for each of a thousand modules in one directory after the other. Most directories
are those of plugins, and without them a node boots with a quarter less work.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

OPTIONAL: Final = "rabbitmq_"
NEEDED: Final = "rabbitmq_prelaunch"


def without_plugins(scripts: Path, directory: Path) -> Mapping[str, str]:
    """What in the environment makes a node of these scripts look through less.

    `directory` is made, and filled with links. Nothing is made, and the environment is empty,
    where the program is not laid out as expected.
    """
    home = (scripts / "rabbitmq-server").resolve().parent.parent
    libraries = home / "plugins"
    if not any(libraries.glob("rabbit-*/ebin")) or not any(libraries.glob(f"{NEEDED}-*/ebin")):
        return {}
    (directory / "plugins").mkdir(parents=True, exist_ok=True)
    kept = {place: home / place for place in ("sbin", "escript")}
    for library in libraries.iterdir():
        if not library.name.startswith(OPTIONAL) or library.name.startswith(NEEDED):
            kept[f"plugins/{library.name}"] = library
    for place, target in kept.items():
        link = directory / place
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return {"RABBITMQ_SCRIPTS_DIR": str(directory / "sbin")}
