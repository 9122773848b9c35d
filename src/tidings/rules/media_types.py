"""What media may be shown in a browser, and under which type and name.

Source: client-server API, "Serving inline content". What an uploader claims decides nothing but
the Content-Type header, which browsers are told not to second-guess; whether something is shown
or saved follows from that header by the specification's list.
"""

import re
from urllib.parse import quote

UNKNOWN = "application/octet-stream"
INLINE = frozenset({
    "text/css", "text/plain", "text/csv", "application/json", "application/ld+json",
    "image/jpeg", "image/gif", "image/png", "image/apng", "image/webp", "image/avif",
    "video/mp4", "video/webm", "video/ogg", "video/quicktime",
    "audio/mp4", "audio/webm", "audio/aac", "audio/mpeg", "audio/ogg", "audio/wave", "audio/wav",
    "audio/x-wav", "audio/x-pn-wav", "audio/flac", "audio/x-flac",
})  # fmt: skip
THUMBNAIL = frozenset({"image/jpeg", "image/png", "image/apng", "image/gif", "image/webp"})
"""The types that a thumbnail may have."""

TYPE_CHARACTERS_MAX = 255
NAME_CHARACTERS_MAX = 255
_MAGIC = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/apng": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
}
_WORD = r"[A-Za-z0-9!#$&^_.+-]+"
_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"[^"\\\r\n]*"))*\Z')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def essence_of(content_type: str) -> str:
    """The type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def parse_content_type(claimed: str | None, beginning: bytes) -> str:
    """The type to serve some content as; unknown where the claim is no type or plainly wrong."""
    if claimed is None or len(claimed) > TYPE_CHARACTERS_MAX or not claimed.isascii():
        return UNKNOWN
    claimed = claimed.strip()
    if not _TYPE.match(claimed):
        return UNKNOWN
    magic = _MAGIC.get(essence_of(claimed))
    if magic is not None and beginning and not beginning.startswith(magic):
        return UNKNOWN  # an encrypted file that is claimed to be a picture, for example
    return claimed


def parse_file_name(text: str) -> str:
    """A file's name as it can be shown: without folders, controls and tricks of direction."""
    name = _CONTROL.sub("", text.replace("\\", "/").rpartition("/")[2]).strip()
    return "" if name in (".", "..") else name[:NAME_CHARACTERS_MAX]


def content_disposition(content_type: str, file_name: str) -> bytes:
    """The Content-Disposition header (RFC 6266, RFC 8187)."""
    is_shown = essence_of(content_type) in INLINE
    disposition = "inline" if is_shown else "attachment"
    if not file_name:
        return disposition.encode()
    if file_name.isascii():
        quoted = file_name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{disposition}; filename="{quoted}"'.encode()
    return f"{disposition}; filename*=utf-8''{quote(file_name, safe='')}".encode()
