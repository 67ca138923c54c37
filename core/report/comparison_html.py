"""A comparison as an HTML document of its own: no script, nothing loaded, and fit for print."""

from __future__ import annotations

from collections.abc import Iterator

from core.report import html
from core.report.comparison_pictures import Picture, pictures
from core.report.comparison_sections import sections
from core.report.comparison_words import (
    SYMBOLS,
    allowed_mark,
    headline,
    layers_text,
    table_mark,
    title,
    when,
)
from core.report.comparisons import ComparisonReport
from core.report.document import Section, Table
from core.verdict.model import Verdict

_CLASSES = {
    Verdict.WITHIN: "within",
    Verdict.EXCEEDS: "exceeds",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.REFUSED: "refused",
}

# What is fixed is printed on every page. The room for it is cut out of every page too, because a
# box that is cloned where it breaks has its padding again on each.
_STYLE = """
:root { --within: #1a6b34; --exceeds: #a4161a; --inconclusive: #7a5200; --refused: #59626e; }
@media (prefers-color-scheme: dark) {
  :root { --within: #6fd08c; --exceeds: #ff8a80; --inconclusive: #ffc861; --refused: #a3acb8; }
}
.verdict { border-left: 0.5rem solid; font-size: 1.25rem; font-weight: 600; margin: 1rem 0;
  overflow-wrap: anywhere; padding: 0.5rem 1rem; }
.within { color: var(--within); }
.exceeds { color: var(--exceeds); }
.inconclusive { color: var(--inconclusive); }
.refused { color: var(--refused); }
.facts { overflow-wrap: anywhere; padding-left: 1.2rem; }
p { overflow-wrap: anywhere; }
.mark { color: var(--warn); font-weight: 600; margin: 1rem 0 0; overflow-wrap: anywhere; }
.banner { background: Canvas; border: 2px solid var(--warn); color: var(--warn); font-weight: 600;
  margin: 0 0 1rem; max-height: 5rem; overflow: auto; overflow-wrap: anywhere;
  padding: 0.4rem 0.8rem; position: sticky; top: 0; z-index: 1; }
table { font-size: 0.9rem; }
th, td { padding: 0.3rem 0.6rem; }
th { vertical-align: bottom; white-space: normal; }
td:last-child { white-space: nowrap; }
.stacked th, .stacked td, .stacked td:not(:first-child) { overflow-wrap: anywhere;
  white-space: normal; }
.stacked td:first-child { overflow-wrap: normal; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
figure { flex: 1 1 30rem; margin: 1rem 0; max-width: 100%; overflow-x: auto; }
figcaption { color: var(--quiet); margin-bottom: 0.4rem; overflow-wrap: anywhere; }
figure svg { height: auto; max-width: 100%; }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  .banner { height: 3.2em; left: 0; margin: 0; overflow: hidden; position: fixed;
    right: 0; top: 0; }
  .banner + main { -webkit-box-decoration-break: clone; box-decoration-break: clone;
    padding-top: 16mm; }
  .figures { display: block; }
  figure { display: inline-block; margin-right: 2%; vertical-align: top; width: 47%; }
  figure:only-child { width: 100%; }
  .verdict, .banner { print-color-adjust: exact; }
}
"""


def render_html(report: ComparisonReport) -> str:
    """Return the report as one HTML file; what was allowed stands on every page that is printed."""
    comparison = report.comparison
    verdict = f"{SYMBOLS[comparison.verdict]} {str(comparison.verdict).capitalize()}"
    drawn = pictures(report)
    mark = table_mark(comparison)
    return html.page(
        title(comparison),
        [
            f'<p class="verdict {_CLASSES[comparison.verdict]}">{html.escaped(verdict)}: '
            f"{html.escaped(headline(comparison))}</p>",
            f"<p>{html.escaped(comparison.reason)}</p>",
            f"<p>{html.escaped(layers_text(comparison))}</p>",
            *(
                part
                for section in sections(report)
                for part in _section(section, mark, drawn.get(section.key, ()))
            ),
            html.items([f"Report of {when(report.written_at)}."], "notes"),
        ],
        style=_STYLE,
        banner=allowed_mark(comparison),
    )


def _section(section: Section, mark: str, drawn: tuple[Picture, ...]) -> Iterator[str]:
    yield html.heading(section.title)
    yield html.items(section.lines, section.kind)
    if section.prose:
        yield f"<p>{html.escaped(section.prose)}</p>"
    marked = f'<p class="mark">{html.escaped(mark)}</p>' if mark else ""
    if drawn:
        yield f'{marked}<div class="figures">\n{"".join(map(_figure, drawn))}</div>'
    for table in section.tables:
        yield marked
        yield _table(table)
    yield html.items(section.notes, "notes")


def _figure(picture: Picture) -> str:
    caption = f"<figcaption>{html.escaped(picture.title)}</figcaption>"
    return f"<figure>{caption}\n{picture.svg}</figure>\n"


def _table(table: Table) -> str:
    made = html.table(table.headers, table.rows, table.numbers, table.title)
    return f'<div class="stacked">{made}</div>' if table.stacked else made
