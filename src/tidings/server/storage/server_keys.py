"""The server's signing key, made when there is none."""

from tidings.server.storage.database import Database, ReadTx, WriteTx


async def load_signing_key(
    db: Database, fresh: tuple[str, bytes], now_ms: int
) -> tuple[str, bytes]:
    """The key id and the private key; `fresh` becomes the key of a new server."""

    async def recipe(tx: WriteTx) -> tuple[str, bytes]:
        found = await _find(tx)
        if found is not None:
            return found
        await tx.execute(
            "INSERT INTO server_keys (key_id, private_key, created_ts) VALUES (?,?,?)",
            fresh[0], fresh[1], now_ms,
        )  # fmt: skip
        return fresh

    async with db.read() as tx:
        found = await _find(tx)
    return await db.write(recipe) if found is None else found


async def _find(tx: ReadTx) -> tuple[str, bytes] | None:
    sql = "SELECT key_id, private_key FROM server_keys ORDER BY created_ts DESC LIMIT 1"
    return await tx.find(tuple[str, bytes], sql)
