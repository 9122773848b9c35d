from tidings.client import content


def test_a_plain_message_mentions_nobody() -> None:
    assert content.text("hi") == {"msgtype": "m.text", "body": "hi", "m.mentions": {}}


def test_mentions_add_up_without_doubles() -> None:
    message = content.with_mentions(content.text("hi"), ["@a:h"])
    message = content.with_mentions(message, ["@b:h", "@a:h"])
    assert content.mentioned_users(message) == ["@a:h", "@b:h"]
    assert content.with_mentions(content.text("hi"), []) == content.text("hi")


def test_a_reply_points_to_its_message() -> None:
    message = content.as_reply(content.text("yes"), "$q")
    assert message["m.relates_to"] == {"m.in_reply_to": {"event_id": "$q"}}
    assert content.replied_event_of(message) == "$q"


def test_a_thread_falls_back_to_a_reply_that_is_none() -> None:
    message = content.in_thread(content.text("more"), "$root", "$latest")
    assert content.relation_of(message) == ("m.thread", "$root")
    assert content.replied_event_of(message) == ""


def test_a_reply_in_a_thread_is_both() -> None:
    message = content.as_reply(content.in_thread(content.text("x"), "$root"), "$q")
    assert content.relation_of(message) == ("m.thread", "$root")
    assert content.replied_event_of(message) == "$q"


def test_an_edit_carries_the_new_version_and_notifies_nobody_again() -> None:
    new = content.with_mentions(content.formatted("new", "<b>new</b>"), ["@a:h"])
    edit = content.as_edit(new, "$old")
    assert edit["body"] == "* new"
    assert edit["formatted_body"] == "* <b>new</b>"
    assert edit["m.new_content"] == new
    assert edit["m.mentions"] == {}
    assert content.relation_of(edit) == ("m.replace", "$old")


def test_odd_content_has_no_relations() -> None:
    for odd in ({}, {"m.relates_to": 7}, {"m.relates_to": {"m.in_reply_to": "x"}}):
        assert content.replied_event_of(dict(odd)) == ""
        assert content.relation_of(dict(odd)) == ("", "")
    assert content.mentioned_users({"m.mentions": {"user_ids": "x"}}) == []
