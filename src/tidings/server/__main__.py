"""`python -m tidings.server serve|admin`: the server's own command line."""

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import which

import uvicorn

from tidings.server.api import sync
from tidings.server.app import Server, now_ms
from tidings.server.config import Config, ConfigError, load_config
from tidings.server.http.connection import HttpConnection, close_idle
from tidings.server.http.websocket import SocketProtocol
from tidings.server.services.tokens import new_registration_token
from tidings.server.storage.accounts import RegistrationTokenRow
from tidings.server.storage.database import StorageError, WriteTx

KEEP_ALIVE_S = 75
BACKLOG = 2048


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["admin"]:
        from tidings.server import admin  # noqa: PLC0415 - the server need not load it

        return admin.main(arguments[1:])
    if arguments[:1] != ["serve"]:
        print("usage: python -m tidings.server serve|admin …", file=sys.stderr)
        return 2
    return serve(arguments[1:])


def serve(arguments: Sequence[str]) -> int:
    """`tidings serve`: run the homeserver until it is told to stop."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        config = load_config(options.config, os.environ, _flags(options))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(config))
    except (ConfigError, StorageError) as error:
        print(f"tidings serve: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidings serve", description="Run the homeserver.",
        epilog="Every setting can also stand in the file or in a TIDINGS_… variable.",
    )  # fmt: skip
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="settings in TOML")
    add("--data", dest="data_dir", metavar="DIR", help="where the database and keys are kept")
    add("--host", help="the address to listen on (127.0.0.1)")
    add("--port", type=int, help="the port to listen on (8008; 0: any free one)")
    add("--server-name", dest="server_name", help="the name in user ids: @alice:SERVER_NAME")
    add("--database", help="postgresql://… instead of SQLite in the data folder")
    add("--dev", action="store_true", default=None,
        help="for tests on loopback: open registration, no limits, cheap passwords")  # fmt: skip
    return parser


def _flags(options: argparse.Namespace) -> dict[str, object]:
    return {name: value for name, value in vars(options).items() if name != "config"}


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where there is one (it does not exist for Windows)."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(config: Config) -> int:
    sock = _bound_socket(config)
    async with AsyncExitStack() as stack:
        stack.callback(sock.close)
        server = Server(config)
        stack.push_async_callback(server.close)
        await server.start()
        SocketProtocol.opener = server.socket_opener
        HttpConnection.direct = {sync.PATH.encode(): server.direct_sync}
        settings = uvicorn.Config(
            server.asgi,
            http=HttpConnection,
            ws=SocketProtocol,
            lifespan="off",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=5,
        )
        for noisy in ("uvicorn.error", "websockets.server"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        host, port = sock.getsockname()[:2]
        url = config.public_url or f"http://{host}:{port}"
        print(f"Tidings is ready: {url}", flush=True)
        await _invite_the_first(server, url)
        http = uvicorn.Server(settings)
        idle = asyncio.create_task(close_idle(http.server_state.connections, KEEP_ALIVE_S))
        stack.callback(idle.cancel)
        await http.serve(sockets=[sock])
    return 0


async def _invite_the_first(server: Server, url: str) -> None:
    """Tell whoever starts a new server how to get the first account on it."""
    accounts, mode = server.account_store, server.config.registration.mode

    async def recipe(tx: WriteTx) -> str | None:
        if not await accounts.is_empty(tx):
            return None
        for known in await accounts.registration_tokens(tx):
            if known.is_valid(now_ms()):
                return known.token
        row = RegistrationTokenRow(new_registration_token(), 1, 0, None, now_ms())
        await accounts.insert_registration_token(tx, row)
        return row.token

    token = await server.db.write(recipe) if mode == "token" else None
    if token is None:
        return
    command = _own_command()
    print(
        "Nobody has an account here yet. Make the first one with this invitation:\n"
        f"  {command} login {url} --register --user NAME --registration-token {token}\n"
        f"or an administrator's:\n"
        f"  {command} admin user create NAME --admin --data {server.config.data_dir}",
        flush=True,
    )


def _own_command() -> str:
    """How the command line is called from here."""
    beside = os.path.relpath(Path(sys.executable).with_name("tidings"))
    return "tidings" if which("tidings") else beside


def _bound_socket(config: Config) -> socket.socket:
    """The listening socket; raises ConfigError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((config.host, config.port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}; "
            "choose another with --port"
        ) from error
    sock.listen(BACKLOG)
    return sock


if __name__ == "__main__":
    sys.exit(main())
