import asyncio

import httpx
import pytest

from tests.api.media import V1, fetched, files_of, uploaded
from tests.api.pictures import animation, bomb, lying_picture, opened, picture
from tests.api.server import ApiServer, Person, problem


async def thumbnail(person: Person, path: str, query: str) -> httpx.Response:
    return await fetched(person, f"{V1}/thumbnail/{path}?{query}")


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("width=96&height=96&method=crop", (96, 96)),
        ("width=40&height=20&method=crop", (40, 20)),
        ("width=320&height=240&method=scale", (480, 240)),  # never smaller than was asked for
        ("width=320&height=96", (320, 160)),
        ("width=1600&height=1600&method=scale", (800, 400)),  # never larger than it is
        ("width=1600&height=1600&method=crop", (800, 400)),
        ("width=5000&height=10", (800, 400)),
    ],
)
async def test_sizes(server: ApiServer, query: str, size: tuple[int, int]) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, picture(800, 400, "JPEG"), "image/jpeg")
    answer = await thumbnail(alice, path, query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == 'inline; filename="thumbnail.jpeg"'
    assert opened(answer.content).size == size


async def test_a_thumbnail_is_made_once(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, picture(400, 400))
    first, second = await asyncio.gather(
        thumbnail(alice, path, "width=32&height=32&method=crop"),
        thumbnail(alice, path, "width=32&height=32&method=crop"),
    )
    assert first.content == second.content
    assert len(files_of(server)) == 2
    again = await uploaded(alice, picture(400, 400))  # the same content under another name
    await thumbnail(alice, again, "width=32&height=32&method=crop")
    assert len(files_of(server)) == 2


async def test_a_small_picture_is_its_own_thumbnail(server: ApiServer) -> None:
    alice = await server.user("alice")
    original = picture(20, 20)
    path = await uploaded(alice, original)
    answer = await thumbnail(alice, path, "width=32&height=32&method=crop")
    assert (answer.content, answer.headers["content-type"]) == (original, "image/png")
    assert len(files_of(server)) == 1


async def test_what_is_transparent_stays_so(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, picture(400, 400, mode="RGBA"))
    answer = await thumbnail(alice, path, "width=32&height=32")
    assert answer.headers["content-type"] == "image/png"
    assert opened(answer.content).mode == "RGBA"


async def test_a_camera_is_held_upright(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, lying_picture(800, 400), "image/jpeg")
    answer = await thumbnail(alice, path, "width=100&height=96&method=scale")
    image = opened(answer.content)
    assert image.size[1] == image.size[0] * 2
    assert not image.getexif()  # nor does it tell where it was taken


async def test_what_moves_moves_only_if_asked(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, animation(200, 200), "image/gif")
    still = await thumbnail(alice, path, "width=32&height=32")
    assert getattr(opened(still.content), "n_frames", 1) == 1
    whole = await thumbnail(alice, path, "width=400&height=400&animated=false")
    assert getattr(opened(whole.content), "n_frames", 1) == 1
    moving = await thumbnail(alice, path, "width=32&height=32&animated=true")
    assert moving.headers["content-type"] == "image/webp"
    assert getattr(opened(moving.content), "n_frames", 1) == 3
    photo = await uploaded(alice, picture(200, 200, "JPEG"), "image/jpeg")
    plain = await thumbnail(alice, photo, "width=32&height=32&animated=true")
    assert plain.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(50), b"<svg/>", b"%PDF-1.4"]
)
async def test_what_is_no_picture(server: ApiServer, content: bytes) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, content, "image/png")
    refused = await thumbnail(alice, path, "width=32&height=32")
    assert problem(refused) == (400, "M_UNKNOWN")


async def test_a_picture_that_would_fill_the_memory(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, bomb(30_000))
    refused = await thumbnail(alice, path, "width=32&height=32")
    assert problem(refused) == (413, "M_TOO_LARGE")
    good = await uploaded(alice, picture(64, 64))
    assert (await thumbnail(alice, good, "width=32&height=32")).status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("width=32", "M_MISSING_PARAM"),
        ("width=x&height=32", "M_INVALID_PARAM"),
        ("width=-1&height=32", "M_INVALID_PARAM"),
        ("width=0&height=0", "M_INVALID_PARAM"),
        ("width=1&height=1&method=melt", "M_INVALID_PARAM"),
        ("width=1&height=1&animated=maybe", "M_INVALID_PARAM"),
    ],
)
async def test_wishes_that_make_no_sense(server: ApiServer, query: str, code: str) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, picture(64, 64))
    assert problem(await thumbnail(alice, path, query)) == (400, code)


async def test_who_may_see_thumbnails(server: ApiServer) -> None:
    alice, guest = await server.user("alice"), await server.guest()
    path = await uploaded(alice, picture(64, 64))
    url = f"{V1}/thumbnail/{path}?width=32&height=32"
    assert problem(await server.nobody.get(url)) == (401, "M_MISSING_TOKEN")
    assert (await fetched(guest, url)).status_code == 200
    gone = await fetched(alice, f"{V1}/thumbnail/localhost/nothing?width=32&height=32")
    assert problem(gone) == (404, "M_NOT_FOUND")


async def test_ever_new_sizes_do_not_fill_the_disk(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, picture(64, 64))
    for width in range(1, 36):
        await thumbnail(alice, path, f"width={width}&height=7&method=crop")
    async with server.server.db.read() as tx:
        assert (await tx.find_value(int, "SELECT count(*) FROM thumbnails") or 0) <= 32
