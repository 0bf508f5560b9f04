"""MkDocs hooks: add pages from other folders, rewrite their links, and add scripts.

Documents next to their subject (the chart, the message types, this project's own pages) are pages
of the site too. A link to another file of the repository becomes a link to the forge if
REPOSITORY_URL is set, else plain text: the site never has a dead link.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
PAGES_FROM_ELSEWHERE: Final = {
    "helm/recording-worker/README.md": "reference/chart.md",
    "schemas/README.md": "reference/message-types.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples/index.md",
    **{
        f"examples/{name}/README.md": f"examples/{name}.md"
        for name in ("celery", "compose", "faststream", "go", "node", "python")
    },
}
"""Path in the repository, and path in the site."""
ASSETS: Final = {
    "docs-site/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js": "assets/mermaid.js",
    "docs-site/node_modules/@asyncapi/react-component/browser/standalone/index.js": (
        "assets/asyncapi.js"
    ),
    "docs-site/node_modules/@asyncapi/react-component/styles/default.min.css": (
        "assets/asyncapi.css"
    ),
    "schemas/asyncapi.yaml": "assets/asyncapi.yaml",
}
"""Path in the repository, and path in the site."""
LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds pages from other folders, and the scripts that pages load."""
    for source, page in (PAGES_FROM_ELSEWHERE | ASSETS).items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    elsewhere = {page: source for source, page in PAGES_FROM_ELSEWHERE.items()}
    folder = posixpath.dirname(elsewhere.get(here, f"docs/{here}"))
    return LINK.sub(lambda link: _link_in_site(link, folder, posixpath.dirname(here)), markdown)


def _link_in_site(link: re.Match[str], folder: str, page_folder: str) -> str:
    image, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    if re.match(r"[a-z]+:", target):
        return link[0]
    path = posixpath.normpath(posixpath.join(folder, target))
    page = PAGES_FROM_ELSEWHERE.get(path) or _page_of_docs(path)
    if page is not None:
        return f"{image}[{text}]({posixpath.relpath(page, page_folder or '.')}{anchor})"
    if not (ROOT / path).exists():
        return link[0]  # MkDocs names the page and fails.
    repository = os.environ.get("REPOSITORY_URL")
    return f"[{text}]({repository}/blob/main/{path}{anchor})" if repository else text


def _page_of_docs(path: str) -> str | None:
    return path.removeprefix("docs/") if path.startswith("docs/") else None
