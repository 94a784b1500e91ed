"""What mkdocs does beside docs/: pages of the repository's other folders join the site, links follow them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent

# Page of the site -> where the repository has it.
PAGES = {
    "model-card.md": "weights/fastsam-nano-seg.md",
    "text-model-card.md": "weights/fastsam-nano-text.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)#]+)(#[^)]*)?\)")


def on_config(config: Any) -> Any:
    """Add pages that the navigation does not name, so that none is out of reach."""
    named = str(config.nav)
    pages = sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    if rest := [page for page in pages if f"'{page}'" not in named]:
        config.nav.append({"More": rest})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=in_site(text, (ROOT / source).parent)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let the links of a page lead to pages of the site."""
    return markdown if page.file.src_uri in PAGES else in_site(markdown, ROOT / "docs")


def in_site(markdown: str, folder: Path) -> str:
    """Return a page whose links lead to pages of the site; what it does not have becomes plain words."""
    pages = {(ROOT / source).resolve(): page for page, source in PAGES.items()}

    def link(match: re.Match[str]) -> str:
        mark, words, target, anchor = match.groups()
        path = (folder / target).resolve()
        if path in pages:
            return f"{mark}[{words}]({pages[path]}{anchor or ''})"
        if path.is_relative_to(ROOT / "docs"):
            return f"{mark}[{words}]({path.relative_to(ROOT / 'docs')}{anchor or ''})"
        if path.exists() and not mark:
            return words
        return match[0]

    return _LINK.sub(link, markdown)
