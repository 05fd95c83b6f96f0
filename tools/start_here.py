# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes START-HERE.html of tools/START-HERE.md: one file with its pictures in it, which a double click opens without internet.

A line `<!-- include: PAGE#HEADING -->` stands for that section of one of the project's pages, so that nothing is written
twice; `PAGE#` for a whole page without its title; `include below` makes its headings one level lower.
A link to a section that is included leads there; one to another page of the project becomes its name in brackets.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "START-HERE.html"
SETTINGS_PAGE = "settings.html"  # of docs, beside it in the zip
FOR_THE_PC = (NAME, SETTINGS_PAGE)  # what is in the zip, and is not needed on the drive
_INCLUDE = re.compile(r"^<!-- include( below)?: (\S+?)#(.*) -->$")
_HEADING = re.compile(r"^(#+) (.*)$")
STYLE = """:root{color-scheme:light dark}body{font:17px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0
1rem;color:#212121;background:#fff}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}td,th{border:1px solid #cfd8dc;padding:.3rem .6rem;
vertical-align:top;text-align:left}img,svg{max-width:100%;height:auto}code{background:#eceff1;padding:0 .25rem;
overflow-wrap:anywhere}td code{overflow-wrap:normal}
h2{border-bottom:2px solid #cfd8dc;margin-top:3rem}blockquote{border-left:5px solid #d50000;margin-left:0;padding-left:1rem}
.page{color:#546e7a;font-size:.85em}@media(prefers-color-scheme:dark){body{background:#12181b;color:#eceff1}code{
background:#263238}.page{color:#a7b8c0}a{color:#80cbc4}td,th,h2{border-color:#455a64}img[src*=svg]{background:#fff}}
@media print{h2{break-before:page}}"""


def made(version: str, note: str, libraries: list[str], zip_name: str) -> bytes:
    """The page. `note` is on the form of the program, in Markdown; `libraries` are names with versions."""
    from markdown_it import MarkdownIt  # needed on the PC that makes a bundle, not on one that only installs a zip

    text = (ROOT / "tools" / "START-HERE.md").read_text(encoding="utf-8")
    text, places = _with_sections(text)
    words = {"version": version, "note": note, "libraries": ", ".join(libraries), "zip": zip_name, "contents": _contents(text)}
    text = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)
    text = _LINK.sub(lambda found: _link(found, places), text)
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    body = _with_anchors(body)
    title = html.escape(f"Daly MQTT bridge {version}: start here")
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    head += f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>\n'
    return (head + body + "</body></html>\n").encode()


# Sections


def _with_sections(text: str) -> tuple[str, dict[str, str]]:
    """The text with what it includes, and the places that are then in it: "docs/X.md#anchor" -> anchor here."""
    places: dict[str, str] = {}
    lines = []
    for line in text.splitlines():
        include = _INCLUDE.match(line)
        lines += _section(include[2], include[3], bool(include[1]), places) if include else [line]
    return "\n".join(lines) + "\n", places


def _section(page: str, title: str, is_below: bool, places: dict[str, str]) -> list[str]:
    """The lines of a section, its links relative to the project. Raises SystemExit if there is no such heading."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    begin, level = _find(lines, page, title)
    end = _end(lines, begin, level)
    found = []
    for line in lines[begin if title else begin + 1 : end]:
        if heading := _HEADING.match(line):
            anchor = anchor_of(heading[2])
            places[f"{page}#{anchor}"] = anchor
            if not title:
                places.setdefault(page, anchor)
            line = "#" * is_below + line
        found.append(_LINK.sub(lambda link: _from_root(link, page), line))
    return found


def _find(lines: list[str], page: str, title: str) -> tuple[int, int]:
    """(index, level) of a heading; the first one for an empty title."""
    for index, line in enumerate(lines):
        heading = _HEADING.match(line)
        if heading and title in (heading[2], ""):
            return index, len(heading[1])
    raise SystemExit(f'{page} has no heading "{title}", which tools/START-HERE.md includes.')


def _end(lines: list[str], begin: int, level: int) -> int:
    for index in range(begin + 1, len(lines)):
        heading = _HEADING.match(lines[index])
        if heading and len(heading[1]) <= level:
            return index
    return len(lines)


def _contents(text: str) -> str:
    titles = [heading[2] for line in text.splitlines() if (heading := _HEADING.match(line)) and len(heading[1]) == 2]
    return "\n".join(f"- [{title}](#{anchor_of(title)})" for title in titles)


def anchor_of(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# Links and pictures

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def _from_root(link: re.Match, page: str) -> str:
    """The link with a target that is relative to the project's root."""
    mark, text, target = link.groups()
    if "://" not in target:
        path, _, anchor = target.partition("#")
        path = (ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT).as_posix() if path else page
        target = path + ("#" + anchor if anchor else "")
    return f"{mark}[{text}]({target})"


def _link(link: re.Match, places: dict[str, str]) -> str:
    """What a link becomes: a picture in the page, a place in it, an address, or the name of a page of the project."""
    mark, text, target = link.groups()
    if mark:
        return _picture(ROOT / target, text)
    if "://" in target or target.startswith("#"):
        return link[0]
    if target == f"docs/{SETTINGS_PAGE}":
        return f"[{text}]({SETTINGS_PAGE})"
    if target in places:
        return f"[{'below' if text == target.partition('#')[0] else text}](#{places[target]})"
    page = target.partition("#")[0]
    return text if text == page else f'{text} <span class="page">({page})</span>'


def _picture(path: Path, text: str) -> str:
    if path.suffix == ".svg":
        kind, data = "svg+xml", path.read_bytes()
    else:
        kind, data = path.suffix[1:], path.read_bytes()
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{encoded}">'


def _with_anchors(body: str) -> str:
    """Headings with the anchors that links lead to."""

    def named(found: re.Match) -> str:
        plain = html.unescape(re.sub(r"<[^>]*>", "", found[2]))
        return f'<h{found[1]} id="{anchor_of(plain)}">{found[2]}</h{found[1]}>'

    return re.sub(r"<h([1-6])>(.*?)</h\1>", named, body)
