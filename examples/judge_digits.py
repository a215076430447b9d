"""Judges a run on `digits` from outside: what does a classifier of real digits say about its samples?

python examples/judge_digits.py runs/convnet-langevin-uniform-001
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from ebmkit.interfaces import eval_mode
from ebmkit.runs.run import reopen


def judged(classifier: LogisticRegression, x: np.ndarray) -> str:
    """Mean probability of the likeliest class, and the smallest and largest share of a class."""
    probability = classifier.predict_proba(x)
    shares = np.bincount(probability.argmax(1), minlength=10) / len(x)
    top = probability.max(1).mean()
    return f"top-class probability {top:.3f}, class shares {shares.min():.1%} to {shares.max():.1%}"


def main(run: Path, count: int = 1000) -> None:
    """Print the judgement of samples, of held-out real digits, and of noise."""
    images, labels = load_digits(return_X_y=True)
    images = images / 8 - 1
    fit = np.random.default_rng(0).permutation(len(images)) < len(images) - 500
    classifier = LogisticRegression(max_iter=5000).fit(images[fit], labels[fit])
    print(f"accuracy on held-out real digits: {classifier.score(images[~fit], labels[~fit]):.3f}")

    trainer = reopen(run).trainer
    rng = torch.Generator(trainer.rng.device).manual_seed(1)
    with eval_mode(trainer.model):
        samples = trainer.sampler.sample(trainer.model, trainer.init.sample(count, rng), rng)
    noise = np.random.default_rng(1).uniform(-1, 1, (count, 64))
    print("samples:", judged(classifier, samples.clamp(-1, 1).flatten(1).cpu().numpy()))
    print("real:   ", judged(classifier, images[~fit]))
    print("noise:  ", judged(classifier, noise))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
