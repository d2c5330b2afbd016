"""Text from elsewhere stays text in every output."""

from __future__ import annotations

import pytest

from edge_runtime.escape import markdown, markdown_code, markdown_table, plain, rich, svg


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unet_lite_s 192", "unet_lite_s 192"),
        ("two\nlines\r\n", "two lines  "),
        ("\x1b[2J\x00", "\ufffd[2J\ufffd"),
        ("right\u202eleft\u2028", "right\ufffdleft "),
        ("\udcff", "\ufffd"),
        (5, "5"),
    ],
)
def test_plain_text_is_one_line_without_control_characters(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_markdown_starts_no_markup() -> None:
    assert markdown("a|b <!-- x --> [l](u) *b* `c` & \\") == "a\\|b &lt;!-- x --> \\[l\\](u) \\*b\\* \\`c\\` &amp; \\\\"
    assert markdown_code("models/*/") == "`models/*/`"
    assert markdown_code("a`|<b>\\") == "<code>a&#96;&#124;&lt;b&gt;&#92;</code>"
    assert markdown_table(["a", "b"], "lr", [["1", "2"]]) == ["| a | b |", "|---|---:|", "| 1 | 2 |"]


def test_svg_and_terminal() -> None:
    assert svg('<a href="x">&') == "&lt;a href=&quot;x&quot;&gt;&amp;"
    assert rich("[/bold] [red]") == "\\[/bold] \\[red]"
