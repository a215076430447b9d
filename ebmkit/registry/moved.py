"""Old names of modules, functions and classes that moved or were renamed in plug-in API 2, and their new names."""

import ast
import linecache
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pkgutil import resolve_name

from ebmkit.errors import one_line

# The line of a module holds for all of its names, except for those that have a line of their own.
MOVED = {
    "ebmkit.Step": "ebmkit.methods.update.Update",
    "ebmkit.analysis": "ebmkit.evaluation",
    "ebmkit.analysis.Along": "ebmkit.evaluation.energy.EnergyAlong",
    "ebmkit.analysis.Convergence": "ebmkit.evaluation.diagnostics.Convergence",
    "ebmkit.analysis.Moments": "ebmkit.evaluation.moments.FeatureMeans",
    "ebmkit.analysis.Neighbours": "ebmkit.evaluation.nearest.NearestExamples",
    "ebmkit.analysis.convergence": "ebmkit.evaluation.diagnostics.convergence",
    "ebmkit.analysis.energies": "ebmkit.evaluation.energy.energies",
    "ebmkit.analysis.energy_along": "ebmkit.evaluation.energy.energy_along",
    "ebmkit.analysis.features": "ebmkit.evaluation.moments.hidden_features",
    "ebmkit.analysis.moments": "ebmkit.evaluation.moments.feature_means",
    "ebmkit.analysis.neighbours": "ebmkit.evaluation.nearest.nearest_examples",
    "ebmkit.analysis.projected": "ebmkit.evaluation.nearest.pca_reconstruction",
    "ebmkit.building": "ebmkit.runs.build",
    "ebmkit.building.build": "ebmkit.config.recipe.build_part",
    "ebmkit.building.check_finite": "ebmkit.config.recipe.check_finite",
    "ebmkit.builtin": "ebmkit.registry.builtin",
    "ebmkit.components": "ebmkit.registry.component",
    "ebmkit.components.one_line": "ebmkit.registry.component.with_type",
    "ebmkit.config.Layer": "ebmkit.config.layers.Layer",
    "ebmkit.config.Value": "ebmkit.config.layers.Value",
    "ebmkit.config.loads": "ebmkit.config.layers.loads",
    "ebmkit.config.preset": "ebmkit.config.layers.preset",
    "ebmkit.config.read": "ebmkit.config.layers.read",
    "ebmkit.config.typed": "ebmkit.config.layers.typed",
    "ebmkit.data.array_files": "ebmkit.data.arrays",
    "ebmkit.data.drawings": "ebmkit.data.shapes",
    "ebmkit.data.files": "ebmkit.data.single_images",
    "ebmkit.data.handwritten": "ebmkit.data.digits",
    "ebmkit.data.hugging_face": "ebmkit.data.hub",
    "ebmkit.data.idx_files": "ebmkit.data.idx",
    "ebmkit.data.image_folder": "ebmkit.data.folder",
    "ebmkit.diagnostics": "ebmkit.evaluation.diagnostics",
    "ebmkit.discovery": "ebmkit.registry.discovery",
    "ebmkit.energies.analytic.Gaussian": "ebmkit.energies.analytic.GaussianEnergy",
    "ebmkit.evaluation.Compared": "ebmkit.evaluation.measures.Compared",
    "ebmkit.evaluation.called": "ebmkit.evaluation.measures.measure_name",
    "ebmkit.evaluation.extract": "ebmkit.evaluation.measures.extract_features",
    "ebmkit.folder": "ebmkit.runs.folder",
    "ebmkit.folder.REPORTED": "ebmkit.runs.surroundings.REPORTED",
    "ebmkit.folder.checkpoint": "ebmkit.runs.checkpoint.read_checkpoint",
    "ebmkit.folder.commit": "ebmkit.runs.surroundings.commit",
    "ebmkit.folder.environment": "ebmkit.runs.surroundings.environment",
    "ebmkit.folder.indented": "ebmkit.files.indented_json",
    "ebmkit.folder.replace": "ebmkit.files.write_text",
    "ebmkit.folder.saved": "ebmkit.runs.folder.settings_in",
    "ebmkit.folder.version_of": "ebmkit.runs.surroundings.version_of",
    "ebmkit.folder.write": "ebmkit.runs.folder.new_folder",
    "ebmkit.guard": "ebmkit.runs.isolation",
    "ebmkit.guard.Steps": "ebmkit.watchers.scalars.Updates",
    "ebmkit.guard.guarded": "ebmkit.runs.isolation.isolated",
    "ebmkit.history": "ebmkit.evaluation.training_curves",
    "ebmkit.history.history": "ebmkit.evaluation.training_curves.read_metrics",
    "ebmkit.hookspecs": "ebmkit.registry.hooks",
    "ebmkit.inits.data.Data": "ebmkit.inits.data.DataInit",
    "ebmkit.inits.replay.Replay": "ebmkit.inits.replay.ReplayBuffer",
    "ebmkit.interfaces.evaluate": "ebmkit.interfaces.energy_values",
    "ebmkit.interfaces.evaluating": "ebmkit.interfaces.eval_mode",
    "ebmkit.loading": "ebmkit.runs.model",
    "ebmkit.loading.model": "ebmkit.runs.model.open_model",
    "ebmkit.loading.opened": "ebmkit.runs.model.open_model",
    "ebmkit.loop": "ebmkit.config.train_settings",
    "ebmkit.loop.Train": "ebmkit.config.train_settings.TrainSettings",
    "ebmkit.machine": "ebmkit.runs.device",
    "ebmkit.metrics": "ebmkit.evaluation",
    "ebmkit.metrics.frechet": "ebmkit.evaluation.frechet",
    "ebmkit.metrics.frechet.Moments": "ebmkit.evaluation.frechet.MeanAndCovariance",
    "ebmkit.metrics.kernels": "ebmkit.evaluation.kernels",
    "ebmkit.metrics.neighbours": "ebmkit.evaluation.neighbours",
    "ebmkit.metrics.rows": "ebmkit.evaluation.rows",
    "ebmkit.metrics.rows.rows": "ebmkit.evaluation.rows.finite_rows",
    "ebmkit.metrics.scores": "ebmkit.evaluation.scores",
    "ebmkit.preview": "ebmkit.cli.preview",
    "ebmkit.registry.blame": "ebmkit.registry.lookup.blame",
    "ebmkit.registry.registry": "ebmkit.registry.lookup.get_registry",
    "ebmkit.report.page.write": "ebmkit.report.page.write_page",
    "ebmkit.report.watcher": "ebmkit.watchers.report",
    "ebmkit.report.watcher.report": "ebmkit.watchers.report.write_report",
    "ebmkit.resolve": "ebmkit.config.resolution",
    "ebmkit.resolve.Recipe": "ebmkit.config.recipe.Recipe",
    "ebmkit.resolve.fill": "ebmkit.config.filling.filled",
    "ebmkit.resolve.optimizer": "ebmkit.config.optimizers.find_optimizer",
    "ebmkit.resolve.read": "ebmkit.config.optimizers.settings_of",
    "ebmkit.run": "ebmkit.runs.run",
    "ebmkit.run.check_settings": "ebmkit.runs.training.check_settings",
    "ebmkit.run.prepare": "ebmkit.runs.training.new_run",
    "ebmkit.run.reopen": "ebmkit.runs.training.resume_run",
    "ebmkit.scaffold": "ebmkit.registry.scaffold",
    "ebmkit.settings": "ebmkit.config.settings",
    "ebmkit.settings.NONE": "ebmkit.config.conversion.NONE",
    "ebmkit.settings.choices": "ebmkit.config.conversion.choices",
    "ebmkit.settings.convert": "ebmkit.config.conversion.convert",
    "ebmkit.settings.describe": "ebmkit.config.conversion.describe",
    "ebmkit.settings.parse": "ebmkit.config.conversion.parse",
    "ebmkit.training": "ebmkit.methods.maximum_likelihood",
    "ebmkit.training.Schedule": "ebmkit.methods.schedules.Schedule",
    "ebmkit.training.Step": "ebmkit.methods.update.Update",
    "ebmkit.training.constant": "ebmkit.methods.schedules.constant",
    "ebmkit.training.follow": "ebmkit.methods.chains.follow",
    "ebmkit.training.linear": "ebmkit.methods.schedules.linear",
    "ebmkit.training.norms": "ebmkit.methods.chains.norms",
    "ebmkit.watch": "ebmkit.watchers",
    "ebmkit.watch.REMEDIES": "ebmkit.errors.REMEDIES",
    "ebmkit.watch.Steps": "ebmkit.watchers.scalars.Updates",
    "ebmkit.watch.checkpoints": "ebmkit.watchers.checkpoints.write_checkpoints",
    "ebmkit.watch.divergence": "ebmkit.watchers.divergence.stop_if_diverged",
    "ebmkit.watch.draw": "ebmkit.watchers.pictures.draw",
    "ebmkit.watch.json_line": "ebmkit.files.json_line",
    "ebmkit.watch.measures": "ebmkit.watchers.scalars.scalars_of",
    "ebmkit.watch.metrics": "ebmkit.watchers.metrics.write_metrics",
    "ebmkit.watch.pictures": "ebmkit.watchers.pictures.draw_pictures",
    "ebmkit.watch.write_checkpoint": "ebmkit.files.replacing",
}


def new_name(old: str) -> str | None:
    """The new name of a module, or of a function or class of a module; None if it did not move."""
    module, _, name = old.rpartition(".")
    return MOVED[old] if old in MOVED else f"{MOVED[module]}.{name}" if module in MOVED else None


def explain(error: BaseException, wanted: str = "") -> str:
    """One line that says what to write instead of the old names that an import failed for; empty for other errors.

    Args:
        error: What an import raised.
        wanted: The dotted name that was to be imported, if not by an import statement.
    """
    old = missing(error)
    if new_name(old) is None:
        return ""
    names = list(dict.fromkeys(imported_by(error))) or [wanted if wanted.startswith(f"{old}.") else old]
    return "; ".join(map(advice, names))


def missing(error: BaseException) -> str:
    """The dotted name that an import or an attribute access did not find; empty for another error."""
    text = one_line(error)
    if isinstance(error, ModuleNotFoundError):
        return error.name or ""
    if found := re.match(r"cannot import name '(\w+)' from '([\w.]+)'", text):
        return f"{found[2]}.{found[1]}"
    if found := re.match(r"module '([\w.]+)' has no attribute '(\w+)'", text):
        return f"{found[1]}.{found[2]}"
    return ""


def imported_by(error: BaseException) -> Iterator[str]:
    """Every old name that is imported in the file whose import statement raised the error."""
    trace, statements = error.__traceback__, []
    while trace is not None:
        source = "".join(linecache.getlines(trace.tb_frame.f_code.co_filename))
        with suppress(SyntaxError, ValueError):  # the frame of a template, or of a file that has changed
            found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
            if any(node.lineno <= trace.tb_lineno <= (node.end_lineno or node.lineno) for node in found):
                statements = found
        trace = trace.tb_next
    for node in statements:
        home = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        yield from (f"{home}{one.name}" for one in node.names if new_name(f"{home}{one.name}") is not None)


def advice(old: str) -> str:
    """What an old name is called now, and the import to write where the new name is public."""
    new = new_name(old)
    try:
        resolve_name(new or "")
    except (ImportError, AttributeError, ValueError):
        return f"{old} was removed"
    module, _, name = str(new).rpartition(".")
    parts = module.split(".")
    for package in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
        if name in getattr(import_module(package), "__all__", ()):
            return f"{old} is now {new}: write from {package} import {name}"
    return f"{old} is now {new}"
