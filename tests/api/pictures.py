"""Pictures that tests upload."""

import zlib
from io import BytesIO

from PIL import Image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """Red on the left, blue on the right; transparent where the mode allows it."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    if mode == "RGBA":
        image.putalpha(128)
    return encoded(image, kind)


def lying_picture(width: int, height: int) -> bytes:
    """A camera's picture that was taken upright and stored lying on its side."""
    image = Image.new("RGB", (width, height), RED)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


def animation(width: int, height: int, frames: int = 3) -> bytes:
    images = [Image.new("RGB", (width, height), (n * 40, 0, 0)) for n in range(frames)]
    out = BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=50, loop=0)
    return out.getvalue()


def encoded(image: Image.Image, kind: str) -> bytes:
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is so large."""
    small = bytearray(picture(1, 1))
    small[16:24] = side.to_bytes(4, "big") * 2
    small[29:33] = zlib.crc32(small[12:29]).to_bytes(4, "big")
    return bytes(small)
