import pytest

from tidings.protocol.errors import UnsupportedRoomVersion
from tidings.protocol.room_versions import ROOM_VERSIONS, get_room_version


def test_knows_versions_by_their_ids() -> None:
    assert [get_room_version(id).id for id in ROOM_VERSIONS] == ["10", "11", "12"]


@pytest.mark.parametrize("text", ["9", "13", "", 10, None, ["10"], {}])
def test_refuses_others(text: object) -> None:
    with pytest.raises(UnsupportedRoomVersion, match="10, 11, 12"):
        get_room_version(text)
