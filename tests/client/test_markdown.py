from tidings.client.markdown import to_html


def test_a_single_paragraph_has_no_tags_around_it() -> None:
    assert to_html("hello **you**") == "hello <strong>you</strong>"


def test_blocks_keep_theirs() -> None:
    assert to_html("a\n\nb") == "<p>a</p>\n<p>b</p>"
    assert to_html("- a") == "<ul>\n<li>a</li>\n</ul>"


def test_html_in_the_text_stays_text() -> None:
    assert to_html("<script>x</script>") == "&lt;script&gt;x&lt;/script&gt;"
    assert "<a" not in to_html("[a](javascript:alert)")
