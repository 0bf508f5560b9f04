"""RabbitMQ's program without its optional plugins, which a private node does not use.

Erlang searches each of a thousand modules in one directory after the other. Most directories belong
to plugins. Without them, a node boots with a quarter less work.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

OPTIONAL_PREFIX: Final = "rabbitmq_"
NEEDED_PREFIX: Final = "rabbitmq_prelaunch"


def without_plugins(scripts: Path, directory: Path) -> Mapping[str, str]:
    """The environment variables by which a node of these scripts searches fewer directories.

    Creates `directory` and fills it with links. If the program has an unexpected layout, nothing is
    created and there are no variables.
    """
    home = (scripts / "rabbitmq-server").resolve().parent.parent
    libraries = home / "plugins"
    if not any(libraries.glob("rabbit-*/ebin")) or not any(
        libraries.glob(f"{NEEDED_PREFIX}-*/ebin")
    ):
        return {}
    (directory / "plugins").mkdir(parents=True, exist_ok=True)
    targets = {place: home / place for place in ("sbin", "escript")}
    for library in libraries.iterdir():
        if not library.name.startswith(OPTIONAL_PREFIX) or library.name.startswith(NEEDED_PREFIX):
            targets[f"plugins/{library.name}"] = library
    for place, target in targets.items():
        link = directory / place
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    return {"RABBITMQ_SCRIPTS_DIR": str(directory / "sbin")}
