"""How good a model is: measures of samples against data, and what its energy, chains and training show."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.evaluation.baselines import reconstruction_baselines
    from ebmkit.evaluation.diagnostics import autocorrelation, convergence, effective_sample_size, split_rhat
    from ebmkit.evaluation.energy import energies, energy_along
    from ebmkit.evaluation.frechet import MeanAndCovariance, frechet_distance
    from ebmkit.evaluation.kernels import diversity, energy_distance, kernel_distance, mmd
    from ebmkit.evaluation.measures import Measure, evaluate, evaluate_model
    from ebmkit.evaluation.moments import FeatureMeans, feature_means
    from ebmkit.evaluation.nearest import nearest_examples, pca_reconstruction
    from ebmkit.evaluation.neighbours import precision_recall
    from ebmkit.evaluation.scores import inception_score, reconstruction_error
    from ebmkit.evaluation.training_curves import correlations, read_metrics

__all__ = [
    "FeatureMeans",
    "MeanAndCovariance",
    "Measure",
    "autocorrelation",
    "convergence",
    "correlations",
    "diversity",
    "effective_sample_size",
    "energies",
    "energy_along",
    "energy_distance",
    "evaluate",
    "evaluate_model",
    "feature_means",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mmd",
    "nearest_examples",
    "pca_reconstruction",
    "precision_recall",
    "read_metrics",
    "reconstruction_baselines",
    "reconstruction_error",
    "split_rhat",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "FeatureMeans": "moments",
        "MeanAndCovariance": "frechet",
        "Measure": "measures",
        "autocorrelation": "diagnostics",
        "convergence": "diagnostics",
        "correlations": "training_curves",
        "diversity": "kernels",
        "effective_sample_size": "diagnostics",
        "energies": "energy",
        "energy_along": "energy",
        "energy_distance": "kernels",
        "evaluate": "measures",
        "evaluate_model": "measures",
        "feature_means": "moments",
        "frechet_distance": "frechet",
        "inception_score": "scores",
        "kernel_distance": "kernels",
        "mmd": "kernels",
        "nearest_examples": "nearest",
        "pca_reconstruction": "nearest",
        "precision_recall": "neighbours",
        "read_metrics": "training_curves",
        "reconstruction_baselines": "baselines",
        "reconstruction_error": "scores",
        "split_rhat": "diagnostics",
    },
)
