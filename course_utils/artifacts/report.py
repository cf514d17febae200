"""One page of HTML that says what was done and found: everything inside it, nothing in it that could run.

Names of columns and classes come from somebody's file, so every text is escaped, and the page forbids scripts and
anything from elsewhere by itself.
"""

from __future__ import annotations

import base64
import html
import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_utils.env import atomic_path

if TYPE_CHECKING:
    import pandas as pd

PNG = b"\x89PNG\r\n\x1a\n"
MOST_ROWS = 200  # of one table on the page
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;font-size:.9rem;display:block;overflow-x:auto}"
    "th,td{border-bottom:1px solid #ccc;padding:.25rem .6rem;text-align:left}"
    "img{max-width:100%}h2{margin-top:2rem}.loud{border-left:.3rem solid #b30000;padding-left:.8rem}"
)


@dataclass(frozen=True)
class Picture:
    """A PNG for the page, and what it shows in a sentence, for those who cannot see it."""

    png: bytes
    alt: str

    @classmethod
    def of(cls, figure: Any, alt: str, dpi: int = 100) -> Picture:
        """Of a matplotlib figure (anything with `savefig`)."""
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of figures that a notebook has already shown and closed
            figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
        return cls(buffer.getvalue(), alt)


@dataclass(frozen=True)
class Warn:
    """A paragraph that must not be overlooked."""

    text: str


def write_report(path: str | Path, title: str, sections: Sequence[tuple[str, Sequence[Any]]]) -> Path:
    """Write one page: `sections` are (heading, items), an item being text, a list of texts, a DataFrame, Picture, Warn.

    Written in one step: a run that is stopped leaves the old page or none. TypeError for another item, ValueError for a
    picture that is no PNG or has no words.
    """
    parts = [f"<h1>{_safe(title)}</h1>"]
    for heading, items in sections:
        parts.append(f"<h2>{_safe(heading)}</h2>")
        parts += [_item(item) for item in items]
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{_safe(title)}</title><style>{STYLE}</style>'
    )
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return Path(path)


def _item(item: Any) -> str:
    if isinstance(item, str):
        return f"<p>{_safe(item)}</p>"
    if isinstance(item, Warn):
        return f'<p class="loud">{_safe(item.text)}</p>'
    if isinstance(item, Picture):
        if not item.png.startswith(PNG) or not item.alt.strip():
            raise ValueError("a picture of a report must be a PNG with words for those who cannot see it")
        code = base64.b64encode(item.png).decode()
        return f'<p><img alt="{_safe(item.alt)}" src="data:image/png;base64,{code}"></p>'
    if isinstance(item, list | tuple):
        return "<ul>" + "".join(f"<li>{_safe(text)}</li>" for text in item) + "</ul>"
    if hasattr(item, "itertuples"):
        return _table(item)
    raise TypeError(f"a report holds texts, lists, tables, Picture and Warn, not a {type(item).__name__}")


def _table(table: pd.DataFrame) -> str:
    names = [table.index.name or "", *table.columns]
    head = "".join(f"<th>{_safe(name)}</th>" for name in names)
    rows = [
        "<tr>" + "".join(f"<td>{_safe(_shown(value))}</td>" for value in row) + "</tr>"
        for row in table.head(MOST_ROWS).itertuples(name=None)
    ]
    more = f"<p>{len(table) - MOST_ROWS} more rows.</p>" if len(table) > MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"


def _shown(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _safe(text: Any) -> str:
    return html.escape(str(text), quote=True)
