"""The built-in components, as import strings, through the same hooks as those of plug-ins."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from ebmkit.registry.hooks import Component, hookimpl


@hookimpl
def energies() -> dict[str, Component]:
    """The networks, then the energies with known moments."""
    return {
        "convnet": "ebmkit.energies.convnet:ConvNet",
        "resnet": "ebmkit.energies.resnet:ResNet",
        "mlp": "ebmkit.energies.mlp:MLP",
        "gaussian": "ebmkit.energies.analytic:GaussianEnergy",
        "mixture": "ebmkit.energies.analytic:Mixture",
        "double_well": "ebmkit.energies.analytic:DoubleWell",
    }


@hookimpl
def samplers() -> dict[str, Component]:
    """The samplers."""
    return {"langevin": "ebmkit.samplers.langevin:Langevin", "hmc": "ebmkit.samplers.hmc:HMC"}


@hookimpl
def inits() -> dict[str, Component]:
    """The distributions that chains start from."""
    return {
        "uniform": "ebmkit.inits.uniform:Uniform",
        "gaussian": "ebmkit.inits.gaussian:Gaussian",
        "fitted": "ebmkit.inits.fitted:FittedGaussian",
        "mixture": "ebmkit.inits.mixture:GaussianMixture",
        "data": "ebmkit.inits.data:DataInit",
        "replay": "ebmkit.inits.replay:ReplayBuffer",
    }


@hookimpl
def datasets() -> dict[str, Component]:
    """The data sets: first those that are generated or embedded, then those read from files."""
    return {
        "digits": "ebmkit.data.digits:digits",
        "shapes": "ebmkit.data.shapes:shapes",
        "gaussians": "ebmkit.data.toys:gaussians",
        "rings": "ebmkit.data.toys:rings",
        "moons": "ebmkit.data.toys:moons",
        "arrays": "ebmkit.data.arrays:arrays",
        "idx": "ebmkit.data.idx:idx",
        "folder": "ebmkit.data.folder:folder",
        "hub": "ebmkit.data.hub:hub",
    }


@hookimpl
def watchers() -> dict[str, Component]:
    """The watchers; every run has all of them except the report."""
    return {
        "divergence": "ebmkit.watchers.divergence:stop_if_diverged",
        "metrics": "ebmkit.watchers.metrics:write_metrics",
        "checkpoints": "ebmkit.watchers.checkpoints:write_checkpoints",
        "pictures": "ebmkit.watchers.pictures:draw_pictures",
        "report": "ebmkit.watchers.report:write_report",
    }


@hookimpl
def features() -> dict[str, Component]:
    """The features that samples and examples are compared by."""
    return {
        "pixels": "ebmkit.features.pixels:Pixels",
        "digits": "ebmkit.features.digits:Digits",
        "inception": "ebmkit.features.inception:Inception",
        "torchscript": "ebmkit.features.torchscript:TorchScript",
    }


@hookimpl
def methods() -> dict[str, Component]:
    """The methods of training."""
    return {
        "maximum-likelihood": "ebmkit.methods.by_settings:MaximumLikelihood",
        "class-conditional": "ebmkit.methods.conditional:ClassConditional",
        "jem": "ebmkit.methods.jem:JEM",
        "denoising": "ebmkit.methods.denoising:DenoisingScoreMatching",
    }


@hookimpl
def networks() -> dict[str, Component]:
    """The networks from one shape to another."""
    return {"dense": "ebmkit.networks.dense:Dense", "convnet": "ebmkit.networks.convnet:ConvNet"}


@hookimpl
def presets() -> Traversable:
    """The recipes of papers, and our own."""
    return files("ebmkit.config") / "presets"
