"""Judge a model of digits by a classifier of real digits that has no part in ebmkit.

python examples/judge_digits.py runs/convnet-langevin-uniform-001
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import ebmkit


def judged(classifier: LogisticRegression, x: np.ndarray) -> str:
    """Mean probability of the most likely class, and the smallest and largest share of a class."""
    probability = classifier.predict_proba(x)
    shares = np.bincount(probability.argmax(1), minlength=10) / len(x)
    top = probability.max(1).mean()
    return f"top-class probability {top:.3f}, class shares {shares.min():.1%} to {shares.max():.1%}"


def main(run: Path, count: int = 1000) -> None:
    """Print what the classifier says of samples, of held-out real digits, and of uniform noise."""
    images, labels = load_digits(return_X_y=True)
    images = images / 8 - 1
    fit = np.random.default_rng(0).permutation(len(images)) < len(images) - 500
    classifier = LogisticRegression(max_iter=5000).fit(images[fit], labels[fit])
    print(f"accuracy on held-out real digits: {classifier.score(images[~fit], labels[~fit]):.3f}")

    samples = ebmkit.load(run, device="cpu").sample(count, torch.Generator().manual_seed(1))
    noise = np.random.default_rng(1).uniform(-1, 1, (count, 64))
    print("samples:", judged(classifier, samples.clamp(-1, 1).flatten(1).numpy()))
    print("real:   ", judged(classifier, images[~fit]))
    print("noise:  ", judged(classifier, noise))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
