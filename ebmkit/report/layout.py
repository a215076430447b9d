"""The layout of a section: paragraphs, pictures, plots and tables. All text is escaped here."""

from collections.abc import Mapping
from html import escape

from torch import Tensor

from ebmkit.pictures import grid
from ebmkit.report.figures import image


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>\n"


def picture(x: Tensor, columns: int, caption: str) -> str:
    """Examples `(n, *shape)` as one picture with a caption."""
    drawn = image(grid(x, columns), f"{caption}: {len(x)} examples.")
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def gallery(*figures: str) -> str:
    """Pictures side by side, wrapped where they do not fit."""
    return f'<div class="pictures">{"".join(figures)}</div>\n'


def strip(columns: Mapping[str, Tensor]) -> str:
    """Examples `(rows, *shape)` in captioned columns, which do not wrap; the clouds of points may wrap."""
    drawn = [picture(x, 1, caption) for caption, x in columns.items()]
    points = any(x.ndim == 2 for x in columns.values())
    return gallery(*drawn) if points else f'<div class="strip">{"".join(drawn)}</div>\n'


def plots(*figures: str) -> str:
    """Plots side by side, as many as fit."""
    return f'<div class="plots">{"".join(figures)}</div>\n'


def table(rows: Mapping[str, str], left: str, right: str) -> str:
    """A table of two columns with these headings."""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows.items()
    )
    head = f'<tr><th scope="col">{escape(left)}</th><th scope="col">{escape(right)}</th></tr>'
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>\n'
