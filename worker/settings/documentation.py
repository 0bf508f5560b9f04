"""Describes every setting: for `recording-worker config` and docs/reference/settings.md."""

import msgspec

from worker.settings.settings import ConsoleSettings, Settings
from worker.settings.variables import variables_of


class DocumentedSetting(msgspec.Struct, frozen=True):
    """One setting as users see it.

    `default` is None when there is none. When `required` is true, the setting may still be left
    out if the variable that `unless` names is set.
    """

    variable: str
    default: str | None
    meaning: str
    secret: bool
    required: bool
    unless: str | None


def documented_settings() -> tuple[DocumentedSetting, ...]:
    """Every setting, in the order of docs/reference/settings.md."""
    return tuple(
        DocumentedSetting(
            variable=variable.name,
            default=variable.default,
            meaning=variable.meaning,
            secret=variable.secret,
            required=variable.required,
            unless=variable.unless,
        )
        for variable in (variables_of(Settings) | variables_of(ConsoleSettings)).values()
    )


def settings_table() -> str:
    """The Markdown table in docs/reference/settings.md."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [_table_row(setting) for setting in documented_settings()]
    return "\n".join(lines) + "\n"


def _table_row(setting: DocumentedSetting) -> str:
    names = f"`{setting.variable}`"
    if setting.secret:
        names += f", `{setting.variable}_FILE`"
    return f"| {names} | {_default_cell(setting)} | {setting.meaning} |"


def _default_cell(setting: DocumentedSetting) -> str:
    if setting.default:
        return f"`{setting.default}`"
    if not setting.required:
        return ""
    return f"required, or `{setting.unless}`" if setting.unless else "required"
