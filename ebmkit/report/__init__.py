"""A run as one HTML page: `report.html`."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.report.context import ReportContext
    from ebmkit.report.page import write_page

__all__ = ["ReportContext", "write_page"]

__getattr__, __dir__ = exports(__name__, {"ReportContext": "context", "write_page": "page"})
