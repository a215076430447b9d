"""Studies: a grid of settings over seeds, each cell an ordinary run, and one table and one figure of all."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.study.folder import Study
    from ebmkit.study.plan import Cell
    from ebmkit.study.results import Result
    from ebmkit.study.rows import Row
    from ebmkit.study.toml_file import read_study

__all__ = ["Cell", "Result", "Row", "Study", "read_study"]

__getattr__, __dir__ = exports(
    __name__,
    {"Cell": "plan", "Result": "results", "Row": "rows", "Study": "folder", "read_study": "toml_file"},
)
