"""Watchers: generators around the updates of a run, which yield every update that they are given."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.watchers.checkpoints import write_checkpoints
    from ebmkit.watchers.divergence import stop_if_diverged
    from ebmkit.watchers.metrics import write_metrics
    from ebmkit.watchers.pictures import draw_pictures
    from ebmkit.watchers.report import write_report
    from ebmkit.watchers.scalars import scalars_of

__all__ = ["draw_pictures", "scalars_of", "stop_if_diverged", "write_checkpoints", "write_metrics", "write_report"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "draw_pictures": "pictures",
        "scalars_of": "scalars",
        "stop_if_diverged": "divergence",
        "write_checkpoints": "checkpoints",
        "write_metrics": "metrics",
        "write_report": "report",
    },
)
