"""What a page says about itself to those who show links to it.

Source: the Open Graph protocol (https://ogp.me); a page's title and description stand in.
"""

import codecs
import re
from html.parser import HTMLParser

import msgspec

KEPT = ("og:title", "og:description", "og:site_name", "og:type", "og:url", "og:locale")
IMAGES = ("og:image:secure_url", "og:image", "og:image:url", "twitter:image", "twitter:image:src")
TEXT_CHARACTERS_MAX = 1_000
_HEAD_BYTES = 1024
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE)


class Page(msgspec.Struct, frozen=True, tag=True):
    """A page in short."""

    properties: dict[str, str]
    image_url: str = ""
    """As the page writes it: it may be relative."""


def parse_page(data: bytes, content_type: str) -> Page:
    """What a page says about itself."""
    reader = _Reader()
    reader.feed(_text(data, content_type))
    found = reader.found
    properties = {name: found[name] for name in KEPT if found.get(name)}
    title = reader.title or found.get("twitter:title", "")
    description = found.get("description") or found.get("twitter:description", "")
    for name, instead in (("og:title", title), ("og:description", description)):
        text = properties.get(name) or instead
        if text := " ".join(text.split())[:TEXT_CHARACTERS_MAX]:
            properties[name] = text
    image_url = next((found[name] for name in IMAGES if found.get(name)), "")
    return Page(properties, image_url)


def _text(data: bytes, content_type: str) -> str:
    head = data[:_HEAD_BYTES].decode("ascii", "replace")
    for place in (content_type, head):
        claimed = _CHARSET.search(place)
        if claimed is not None:
            return data.decode(_codec(claimed[1]), "replace")
    return data.decode("utf-8", "replace")


def _codec(name: str) -> str:
    try:
        info = codecs.lookup(name)
    except LookupError:
        return "utf-8"
    # Python's codecs are also compressions and the like, which do not make text.
    return info.name if getattr(info, "_is_text_encoding", True) else "utf-8"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, str] = {}
        self.title = ""
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = not self.title
        if tag != "meta":
            return
        values = {name: value or "" for name, value in reversed(attrs)}
        name = (values.get("property") or values.get("name") or "").strip().lower()
        content = values.get("content", "").strip()
        if name and content:
            self.found.setdefault(name, content[:TEXT_CHARACTERS_MAX])

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title and len(self.title) < TEXT_CHARACTERS_MAX:
            self.title += data
