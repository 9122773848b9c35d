"""What a message says and how it hangs together with others: content of m.room.message, pure.

Source: client-server API, modules "Instant messaging", "Rich replies", "Threading",
"Event replacements", "User and room mentions".
"""

from tidings.protocol.events import JsonObject


def text(body: str, msgtype: str = "m.text") -> JsonObject:
    """A plain message, which mentions nobody until told to."""
    return {"msgtype": msgtype, "body": body, "m.mentions": {}}


def formatted(body: str, html: str, msgtype: str = "m.text") -> JsonObject:
    """A message with an HTML form beside its plain one."""
    return {
        **text(body, msgtype),
        "format": "org.matrix.custom.html",
        "formatted_body": html,
    }


def with_mentions(content: JsonObject, user_ids: list[str]) -> JsonObject:
    """The same message, notifying these people as well."""
    already = mentioned_users(content)
    users = list(dict.fromkeys([*already, *user_ids]))
    return {**content, "m.mentions": {"user_ids": users}} if users else content


def mentioned_users(content: JsonObject) -> list[str]:
    """Whom a message mentions on purpose."""
    mentions = content.get("m.mentions")
    user_ids = mentions.get("user_ids") if isinstance(mentions, dict) else None
    return [str(user_id) for user_id in user_ids] if isinstance(user_ids, list) else []


def as_reply(content: JsonObject, event_id: str) -> JsonObject:
    """The same message as an answer to another, in that one's thread if it has one."""
    relation = content.get("m.relates_to")
    kept = {**relation, "is_falling_back": False} if isinstance(relation, dict) else {}
    return {**content, "m.relates_to": {**kept, "m.in_reply_to": {"event_id": event_id}}}


def in_thread(content: JsonObject, root_id: str, latest_id: str | None = None) -> JsonObject:
    """The same message in a thread; clients without threads show it as a reply to the latest."""
    relation = {
        "rel_type": "m.thread",
        "event_id": root_id,
        "is_falling_back": True,
        "m.in_reply_to": {"event_id": latest_id or root_id},
    }
    return {**content, "m.relates_to": relation}


def as_edit(content: JsonObject, event_id: str) -> JsonObject:
    """A new version of an earlier message; clients without edits show it with a star."""
    new = {name: value for name, value in content.items() if name != "m.relates_to"}
    starred = {**new, "body": f"* {content.get('body', '')}"}
    if "formatted_body" in new:
        starred["formatted_body"] = f"* {new['formatted_body']}"
    return {
        **starred,
        "m.mentions": {},  # who was mentioned has been told already
        "m.new_content": new,
        "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
    }


def relation_of(content: JsonObject) -> tuple[str, str]:
    """The kind of relation and the event it points to; empty if there is none."""
    relation = content.get("m.relates_to")
    if not isinstance(relation, dict):
        return ("", "")
    return (str(relation.get("rel_type", "")), str(relation.get("event_id", "")))


def replied_event_of(content: JsonObject) -> str:
    """The event a message answers; empty if none, or only for clients without threads."""
    relation = content.get("m.relates_to")
    if not isinstance(relation, dict) or relation.get("is_falling_back") is True:
        return ""
    reply = relation.get("m.in_reply_to")
    return str(reply.get("event_id", "")) if isinstance(reply, dict) else ""
