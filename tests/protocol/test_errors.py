from tidings.protocol import errors
from tidings.protocol.errors import AuthenticationNeeded, LimitExceeded, MatrixError, NotFound


def _catalogue(base: type[MatrixError]) -> set[type[MatrixError]]:
    return {base}.union(*(_catalogue(error) for error in base.__subclasses__()))


def test_the_standard_body() -> None:
    error = NotFound("There is no such room", soft_logout=True)
    assert error.to_json() == {
        "errcode": "M_NOT_FOUND",
        "error": "There is no such room",
        "soft_logout": True,
    }
    assert str(error) == "There is no such room"


def test_limits_say_when_to_come_back() -> None:
    error = LimitExceeded("Slow down", retry_after_ms=1500)
    assert error.to_json()["retry_after_ms"] == 1500
    assert error.retry_after_ms == 1500


def test_authentication_answers_with_its_flows() -> None:
    body = {"session": "x", "flows": [{"stages": ["m.login.password"]}]}
    assert AuthenticationNeeded(body).to_json() == body


def test_every_error_has_a_code_and_a_status() -> None:
    for error in _catalogue(MatrixError):
        assert error.errcode.startswith("M_")
        assert 400 <= error.status < 600
        assert getattr(errors, error.__name__) is error
