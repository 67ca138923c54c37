"""The pieces that HTML documents are made of: one file each, no script, nothing loaded from afar.

Every function takes plain text and escapes it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from core.text import harmless

# No colour of its own for text and ground: the reader's browser has a light and a dark pair.
_STYLE = """
:root { color-scheme: light dark; --line: #c8ccd2; --head: #eef0f3; --quiet: #59626e;
  --warn: #8a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3c434d; --head: #23282f; --quiet: #a3acb8; --warn: #ffb454; }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.35rem 0.8rem; text-align: left;
  vertical-align: top; }
th { background: var(--head); }
th, td:not(:last-child) { white-space: nowrap; }
.number { text-align: right; }
.notes { color: var(--quiet); }
.notes, .warnings { overflow-wrap: anywhere; padding-left: 1.2rem; }
.warnings { color: var(--warn); }
caption { color: var(--quiet); padding: 0.35rem 0.8rem; text-align: left; }
@media print {
  :root { font-size: 11px; }
  body { font-size: 1rem; margin: 0; max-width: none; padding: 0; }
  h2, caption { break-after: avoid; }
  tr, figure { break-inside: avoid; }
  .wide { overflow: visible; }
  th, td, td:not(:last-child) { padding: 0.2rem 0.4rem; white-space: normal; }
}
"""


def escaped(text: str) -> str:
    """Return text that HTML shows as it is, in an element or in a quoted attribute."""
    return html.escape(harmless(text), quote=True)


def page(title: str, parts: Iterable[str], style: str = "", banner: str = "") -> str:
    """Return the document around its parts, which are HTML already. ``style`` is more CSS,
    ``banner`` a sentence above everything.
    """
    above = f'<p class="banner" role="note">{escaped(banner)}</p>\n' if banner else ""
    body = "\n".join(part for part in parts if part)
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # What no escaping should ever let in could still not run or call home.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n"
        f"<body>\n{above}<main>\n<h1>{escaped(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escaped(text)}</h2>"


def items(lines: Sequence[str], kind: str = "facts") -> str:
    """Return a list; ``kind`` is ``facts``, ``notes`` or ``warnings``."""
    if not lines:
        return ""
    entries = "\n".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f'<ul class="{escaped(kind)}">\n{entries}\n</ul>'


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[int] = (),
    title: str = "",
) -> str:
    """Return a table; the columns at the places ``numbers`` are set to the right."""
    caption = f"<caption>{escaped(title)}</caption>\n" if title else ""
    head = "".join(_cell("th", text, place in numbers) for place, text in enumerate(headers))
    lines = [
        "<tr>"
        + "".join(_cell("td", text, place in numbers) for place, text in enumerate(row))
        + "</tr>"
        for row in rows
    ]
    return (
        f'<div class="wide"><table>\n{caption}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n"
        "</table></div>"
    )


def _cell(tag: str, text: str, number: bool) -> str:
    attributes = ' class="number"' if number else ""
    if tag == "th":
        attributes += ' scope="col"'
    return f"<{tag}{attributes}>{escaped(text)}</{tag}>"
