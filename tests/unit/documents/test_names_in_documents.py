"""Names in the documents exist: settings, metrics, log events, codes, commands, headings."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from tests.command_line_page import root_context
from worker.cli.root import root
from worker.settings.settings import all_variables

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = sorted(
    [
        *(path for path in ROOT.glob("docs/**/*.md") if path.parent.name != "adr"),
        *ROOT.glob("*.md"),
        ROOT / "schemas/README.md",
        ROOT / "helm/recording-worker/README.md",
    ]
)
PARTS: Final = ("worker", "sandbox", "schemas", "benchmarks", "helm")
FOREIGN: Final = frozenset(
    {
        "close_all_user_connections",  # rabbitmqctl
        "dead_letter_worker_publisher_confirm_timeout",  # RabbitMQ
        "ignore_startup_parameters",  # PgBouncer
        "load_balance_hosts",  # libpq
        "pg_locks",
        "pg_stat_activity",
        "pg_terminate_backend",
        "pool_mode",  # PgBouncer
        "rule_files",  # Prometheus
        "synchronous_standby_names",  # PostgreSQL
    }
)
"""Names of other programs, which no code here contains."""

NO_SETTINGS: Final = frozenset({"DATABASE_URI", "HTTP_PROXY"})
"""Variables that a page names because they are none."""

PLACEHOLDERS: Final = frozenset({"noun_verb", "sales_call_audio", "user_idz"})


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def slug(heading: str) -> str:
    """The anchor of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^( *)```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = [slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    explicit = re.findall(r"""\bid=["']([^"']+)|\{ ?#([\w-]+)""", text)
    return {*headings, *(name for pair in explicit for name in pair)}


def command_lines(text: str) -> Iterator[str]:
    """Each command line of `recording-worker`, without redirections and pipes."""
    lines = re.findall(r"`([^`\n]*(?:\n[^`\n]+)?)`", text)
    for code in re.findall(
        r"^ *```(?:sh|console|bash)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL
    ):
        lines += code.replace("\\\n", " ").split("\n")
    for line in lines:
        found = re.match(
            r"\s*(?:\$ )?(?:\w+=\S+ )*(?:\S*/bin/)?recording-worker (\S.*)", line, re.DOTALL
        )
        if found:
            yield re.split(r" [|&>#]|;", found[1])[0]


COMMANDS: Final = sorted(
    {
        (ids(page), line)
        for page in PAGES
        for line in command_lines(page.read_text())
        if not re.search(r"…|COMMAND|[A-Z]{2,}(?![_A-Z]*[\"=])", re.sub(r'"\$\w+"', "", line))
        and "--file " not in line  # the file must exist
    }
)


@pytest.fixture(scope="module")
def code() -> str:
    """All files whose names a page may use."""
    return "\n".join(
        path.read_text()
        for part in (*PARTS, "examples")
        for ending in ("py", "yaml", "tpl")
        for path in (ROOT / part).rglob(f"*.{ending}")
        if "node_modules" not in path.parts
    )


@pytest.fixture(scope="module")
def words(code: str) -> frozenset[str]:
    fixtures = (ROOT / "tests/conftest.py").read_text()
    return frozenset(re.findall(r"[a-z][a-z0-9_]*", code + fixtures))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = {row.name for row in all_variables()}
    named = set(
        re.findall(
            r"`((?:WORKER|REALTIMEKIT|AMQP|DATABASE|HTTP|LOG)_[A-Z_]*[A-Z])\b", page.read_text()
        )
    )
    unknown = {name for name in named if not {name, name.removesuffix("_FILE")} & known}
    assert unknown - NO_SETTINGS == set()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_metric_that_a_page_names_exists(
    page: Path, code: str, words: frozenset[str]
) -> None:
    named = re.findall(r"\brecording_worker_([a-z_]+[a-z])", page.read_text())
    names = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in named}
    assert sorted(name for name in names if f'"{name}"' not in code and name not in words) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_name_in_code_style_is_in_the_code(page: Path, words: frozenset[str]) -> None:
    """Log events, error codes, fields, columns, and fields of the sandbox's behaviour."""
    pattern = r"`(?!test_|recording_worker_|process_)([a-z]+(?:_[a-z0-9]+)+)`"
    named = set(re.findall(pattern, page.read_text()))
    unknown = {name for name in named if name.removesuffix("_total") not in words}
    assert sorted(unknown - FOREIGN - PLACEHOLDERS) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    targets = [((page.parent / path).resolve() if path else page, name) for path, name in links]
    markdown = [(path, name) for path, name in targets if path.suffix == ".md"]
    assert [f"{ids(path)}#{name}" for path, name in markdown if name not in anchors(path)] == []


def test_every_page_is_linked_from_another_page() -> None:
    starts = (ROOT / "README.md", ROOT / "docs/index.md")
    linked = {
        (page.parent / path).resolve()
        for page in PAGES
        for path in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
        if page != (page.parent / path).resolve()
    }
    assert [ids(page) for page in PAGES if page not in linked and page not in starts] == []


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_line_is_one_that_the_program_takes(page: str, line: str) -> None:
    words = shlex.split(line)
    command: click.Command = root
    context = root_context()
    while words and not words[0].startswith("-") and isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, page
        command, context = found, click.Context(found, info_name=name, parent=context)
    if words and not isinstance(command, click.Group):
        command.make_context(context.info_name, list(words), parent=context.parent)
