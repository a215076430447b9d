"""All laws; `python -m laws`, run in tests/, prints them as a table."""

from laws import denoising, fitted_starts, hamiltonian, langevin, learning, starts, walls
from laws.law import Law

LAWS: list[Law] = [
    *langevin.LAWS,
    *hamiltonian.LAWS,
    *walls.LAWS,
    *starts.LAWS,
    *fitted_starts.LAWS,
    *learning.LAWS,
    *denoising.LAWS,
]
