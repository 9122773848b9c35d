"""Markdown as people type it to the HTML that Matrix clients show; HTML in it stays text."""

from markdown_it import MarkdownIt

_PARSER = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
    ["table", "strikethrough"]
)


def to_html(text: str) -> str:
    """The HTML form; a single paragraph goes without its tags."""
    html = str(_PARSER.render(text)).strip()
    inner = html.removeprefix("<p>").removesuffix("</p>")
    is_one_paragraph = html.startswith("<p>") and html.endswith("</p>") and "<p>" not in inner
    return inner if is_one_paragraph else html
