"""The frame of every page: one HTML file with its style inside, and the parts pages are made of.

Text goes in as it is and comes out escaped, whatever a file or a class is called; what is HTML
already is marked by its type. Light and dark by the reader's own setting.
"""

import html
from collections.abc import Iterable, Sequence
from typing import NewType

from ghostkit.errors import printable

Html = NewType("Html", str)

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6a79; --line: #d8dee6;
  --paper: #f5f7fa; --card: #fff; --a: #2f6fb3; --b: #d9822b; --bad: #c23b3b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #97a5b4; --line: #323d4a;
  --paper: #12171d; --card: #1a212a; --a: #6aa5e3; --b: #efa95c; --bad: #ee7b7b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 36px 0 10px; }
p { margin: 6px 0; } .soft { color: var(--soft); } .a { color: var(--a); } .b { color: var(--b); }
code, .path { font: 13px/1.45 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.verdict { display: inline-block; margin: 14px 0 6px; padding: 7px 14px; border-radius: 8px;
  color: #fff; font-weight: 600; }
.pass { background: #1d7f4f; } .fail { background: #c23b3b; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(168px, 1fr)); gap: 12px;
  margin: 16px 0; }
.tile, .box { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 14px; }
.tile b { display: block; font-size: 21px; line-height: 1.3; }
.tile span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; }
tr.other td:first-child { box-shadow: inset 3px 0 var(--bad); padding-left: 10px; }
ul { margin: 6px 0; padding-left: 20px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(324px, 1fr)); gap: 14px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px; display: grid; grid-template-columns: 112px 1fr; gap: 4px 14px;
  align-content: start; }
figure img, figure .none { width: 112px; height: 112px; object-fit: contain; border-radius: 6px;
  background: var(--paper); }
figure .none { display: grid; place-items: center; color: var(--soft); font-size: 12px; }
figcaption { grid-column: 1 / -1; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .small { font-size: 10px; } svg .name { fill: var(--ink); }
@media print { body { background: #fff; } figure { break-inside: avoid; } }
"""


def text(value: object) -> Html:
    """`value` as text: escaped, on one line, without terminal codes."""
    return Html(html.escape(printable(value)))


def join(parts: Iterable[Html]) -> Html:
    """Parts one after another."""
    return Html("".join(parts))


def page(title: str, body: Iterable[Html]) -> str:
    """The whole file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>\n{join(body)}</main></body></html>\n"
    )


def element(tag: str, *content: Html, kind: str = "") -> Html:
    """``<tag>content</tag>``, of the CSS class `kind`."""
    of = f' class="{kind}"' if kind else ""
    return Html(f"<{tag}{of}>{join(content)}</{tag}>\n")


def tiles(figures: Sequence[tuple[str, str]]) -> Html:
    """Large figures, each (value, what it is)."""
    made = (
        element("div", element("b", text(value)), element("span", text(name)), kind="tile")
        for value, name in figures
    )
    return element("div", *made, kind="tiles")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], marked: Sequence[bool] = ()
) -> Html:
    """A table; rows that are `marked` stand out."""
    head = element("tr", *(element("th", text(name)) for name in columns))
    lines = []
    for index, row in enumerate(rows):
        kind = "other" if index < len(marked) and marked[index] else ""
        lines.append(element("tr", *(element("td", text(cell)) for cell in row), kind=kind))
    return element("div", element("table", head, *lines), kind="box")
