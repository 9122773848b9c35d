"""Thumbnails of pictures: what the decoding process does with Pillow.

The data is whatever somebody uploaded: sizes are checked before a pixel is decoded, only common
formats are tried, and whatever goes wrong is a refusal. Nothing is ever scaled up.
Source: client-server API, "Thumbnails".
"""

from io import BytesIO
from typing import Literal, TypeAlias

import msgspec
from PIL import Image, ImageOps, ImageSequence

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")
SIDE_MAX = 2048
"""Whoever wants a larger picture is given the original."""
_SERVED_AS = {
    "JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp",
}  # fmt: skip
"""Formats that may be shown as they are, and their types."""
_EXIF_ORIENTATION = 0x0112
_JPEG_QUALITY = 82
_WEBP_QUALITY = 75
Size: TypeAlias = tuple[int, int]

Image.MAX_IMAGE_PIXELS = None  # `_open` looks itself, and refuses where Pillow would warn


class Wanted(msgspec.Struct, frozen=True):
    """The thumbnail that a client asks for: at least so large."""

    width: int
    height: int
    method: Literal["crop", "scale"] = "scale"
    is_animated: bool = False

    @property
    def shape(self) -> str:
        """A name for it among the thumbnails of a picture."""
        moving = "-animated" if self.is_animated else ""
        return f"{self.width}x{self.height}-{self.method}{moving}"


class Picture(msgspec.Struct, frozen=True, tag=True):
    """A picture; without data it is the original, as it is."""

    content_type: str
    width: int
    height: int
    data: bytes = b""


class TooManyPixels(Exception):
    """The picture is too large to be decoded."""


def make_thumbnail(data: bytes, wanted: Wanted, pixels_max: int) -> Picture:
    """The thumbnail; raises TooManyPixels, or anything at all for what is no picture."""
    image = _open(data, pixels_max)
    moves = bool(getattr(image, "is_animated", False))
    if moves and wanted.is_animated and _pixels_of_all(image) <= pixels_max:
        return _animated(image, wanted)
    target = _target(_upright_size(image), wanted)
    if target is None and not moves and image.format in _SERVED_AS:
        return _original(image)
    return _still(image, target, wanted.method)


def measure(data: bytes, pixels_max: int) -> Picture:
    """What kind of picture it is and how large, without decoding it; raises as above."""
    return _original(_open(data, pixels_max))


def _open(data: bytes, pixels_max: int) -> Image.Image:
    image = Image.open(BytesIO(data), formats=FORMATS)
    if image.width * image.height > pixels_max:
        raise TooManyPixels
    return image


def _original(image: Image.Image) -> Picture:
    width, height = _upright_size(image)
    return Picture(_SERVED_AS.get(image.format or "", ""), width, height)


def _pixels_of_all(image: Image.Image) -> int:
    frames: int = getattr(image, "n_frames", 1)
    return frames * image.width * image.height


def _upright_size(image: Image.Image) -> Size:
    """Width and height as they are shown: a camera's pictures may be stored lying on a side."""
    if image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8):
        return image.height, image.width
    return image.size


def _target(size: Size, wanted: Wanted) -> Size | None:
    """How large the picture is to become before it is cropped; None to leave it as it is."""
    width, height = wanted.width, wanted.height
    is_too_small = size[0] <= width or size[1] <= height
    if is_too_small or max(width, height) > SIDE_MAX:
        return None
    if wanted.method == "crop":
        return width, height
    # As large as it must be to be no smaller than was asked for, in both directions.
    if width * size[1] >= height * size[0]:
        return width, -(-size[1] * width // size[0])
    return -(-size[0] * height // size[1]), height


def _still(image: Image.Image, target: Size | None, method: str) -> Picture:
    if target is not None:  # JPEG can be decoded at a half, a quarter or an eighth of its size
        side = max(target) * 2
        image.draft("RGB", (side, side))
    profile = image.info.get("icc_profile")
    picture = _plain(ImageOps.exif_transpose(image))
    if target is not None:
        picture = _resized(picture, target, method)
    out = BytesIO()
    if picture.mode == "RGBA":
        picture.save(out, "PNG", icc_profile=profile)
        return Picture("image/png", *picture.size, out.getvalue())
    picture.save(out, "JPEG", quality=_JPEG_QUALITY, progressive=True, icc_profile=profile)
    return Picture("image/jpeg", *picture.size, out.getvalue())


def _plain(image: Image.Image) -> Image.Image:
    """The picture as RGB, or RGBA where something can be seen through it."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    lowest, _ = picture.getchannel("A").getextrema()
    is_opaque = not isinstance(lowest, tuple) and lowest >= 255
    return picture.convert("RGB") if is_opaque else picture


def _resized(image: Image.Image, target: Size, method: str) -> Image.Image:
    if method == "crop":
        return ImageOps.fit(image, target, Image.Resampling.LANCZOS)
    return image.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _animated(image: Image.Image, wanted: Wanted) -> Picture:
    target = _target(image.size, wanted)
    if target is None and image.format in _SERVED_AS:
        return _original(image)
    frames, durations = [], []
    for frame in ImageSequence.Iterator(image):
        picture = frame.convert("RGBA")
        frames.append(_resized(picture, target, wanted.method) if target else picture)
        durations.append(int(frame.info.get("duration", 100)))
    out = BytesIO()
    frames[0].save(
        out, "WEBP", save_all=True, append_images=frames[1:], duration=durations,
        loop=image.info.get("loop", 0), quality=_WEBP_QUALITY, method=1,
    )  # fmt: skip
    return Picture("image/webp", *frames[0].size, out.getvalue())
