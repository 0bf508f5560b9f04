"""Makes a private node boot with less work.

Erlang searches each of a thousand modules in one directory after the other. Most directories belong
to optional plugins, which a private node does not use. Without them, a node boots with a quarter
less work.

Erlang also copies its table of functions for each module that it loads alone. Loading all modules
together saves another fifth.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

OPTIONAL_PREFIX: Final = "rabbitmq_"
NEEDED_PREFIX: Final = "rabbitmq_prelaunch"

BOOT_EXPRESSIONS: Final = """\
WithNeeded = fun Visit(Application, Seen) ->
    case lists:member(Application, Seen) of
        true -> Seen;
        false ->
            application:load(Application),
            Lists = [Names || {ok, Names} <- [application:get_key(Application, applications)]],
            lists:foldl(Visit, [Application | Seen], lists:append(Lists))
    end
end,
Lists = [Modules || Application <- WithNeeded(rabbit, []),
                    {ok, Modules} <- [application:get_key(Application, modules)]],
code:ensure_modules_loaded(lists:append(Lists)),
rabbit:boot().
"""
"""Loads the modules of RabbitMQ and of all applications that it needs, and boots it. It loads those
that fail here by itself."""
BOOT_ARGUMENTS: Final = '-eval {ok,_}=file:script(os:getenv("RECORDING_SANDBOX_BOOT")).'
"""Without spaces, at which the script would split it."""


def without_plugins(scripts: Path, directory: Path) -> Mapping[str, str]:
    """The environment variables that let a node of these scripts search fewer directories.

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


def booting_at_once(directory: Path) -> Mapping[str, str]:
    """The environment variables that let a node with `BOOT_ARGUMENTS` load its modules together.

    Creates the file of the expressions in `directory`.
    """
    script = directory / "boot.erl"
    script.write_text(BOOT_EXPRESSIONS)
    return {"RABBITMQ_NODE_ONLY": "true", "RECORDING_SANDBOX_BOOT": str(script)}
