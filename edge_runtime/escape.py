"""Text from elsewhere (names of models, machines, files), made safe for the output that it goes to: one function for each.

Names come from result files and artifacts of strangers. Whatever they hold, an output shows it as text on one line.
"""

from __future__ import annotations

import html
import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # categories of characters that control: terminals, lines, direction
MARKDOWN = {char: f"\\{char}" for char in "\\`*[]|~"} | {"&": "&amp;", "<": "&lt;"}


def plain(text: object) -> str:
    """Return text for terminals, plots and HTML escapers: on one line, without control characters."""
    return "".join(" " if char.isspace() else "\N{REPLACEMENT CHARACTER}" if _hides(char) else char for char in str(text))


def markdown(text: object) -> str:
    """Return text for Markdown, table cells included, that starts no markup, HTML or comment."""
    return "".join(MARKDOWN.get(char, char) for char in plain(text))


def markdown_code(text: object) -> str:
    """Return text as inline code for Markdown, table cells included."""
    shown = plain(text)
    if not set(shown) & set("`|<>&\\"):
        return f"`{shown}`"
    return f"<code>{html.escape(shown).replace('|', '&#124;').replace('`', '&#96;').replace(chr(92), '&#92;')}</code>"


def markdown_table(head: list[str], aligned: str, rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table; cells are escaped already. `aligned` has `l` or `r` for each column."""
    rule = "|" + "|".join("---:" if side == "r" else "---" for side in aligned) + "|"
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def svg(text: object) -> str:
    """Return text for an SVG element or attribute."""
    return html.escape(plain(text), quote=True)


def rich(text: object) -> str:
    """Return text for a table or a line of the library `rich`, whose markup such as `[/bold]` would be read."""
    from rich.markup import escape  # a host tool

    return escape(plain(text))


def _hides(char: str) -> bool:
    return unicodedata.category(char) in HIDDEN
