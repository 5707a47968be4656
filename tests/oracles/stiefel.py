"""Cayley ADAM as its paper states it: dense n x n matrices and a linear solve."""

import dataclasses

import numpy as np


def generator(point, vector):
    """The skew n x n matrix W with W X = the tangent projection of V (arXiv:2002.01113, eq. 6)."""
    w_hat = vector @ point.T - 0.5 * point @ (point.T @ vector @ point.T)
    return w_hat - w_hat.T


def cayley(point, skew, step):
    """(I + step/2 W)^-1 (I - step/2 W) X by a dense solve."""
    identity = np.eye(len(point))
    return np.linalg.solve(identity + step / 2 * skew, (identity - step / 2 * skew) @ point)


@dataclasses.dataclass
class CayleyAdam:
    """arXiv:2002.01113, Algorithm 2, with the second moment started at 0 and corrected for it."""

    learning_rate: float
    beta_1: float = 0.9
    beta_2: float = 0.99
    epsilon: float = 1e-8
    step_bound: float = 0.5
    amsgrad: bool = False
    moment: np.ndarray | float = 0.0
    second: float = 0.0
    second_hat: float = 0.0
    steps: int = 0

    def step(self, point, gradient):
        self.steps += 1
        self.moment = self.beta_1 * self.moment + (1 - self.beta_1) * gradient
        self.second = self.beta_2 * self.second + (1 - self.beta_2) * np.sum(gradient**2)
        self.second_hat = max(self.second_hat, self.second) if self.amsgrad else self.second
        first_correction = 1 - self.beta_1**self.steps
        root = np.sqrt(self.second_hat / (1 - self.beta_2**self.steps) + self.epsilon)
        skew = generator(point, self.moment / first_correction) / root
        self.moment = root * first_correction * skew @ point
        bound = 2 * self.step_bound / (np.linalg.norm(skew) + self.epsilon)
        return cayley(point, skew, min(self.learning_rate, bound))
