"""Calibration by a temperature.

Source: Guo et al., On Calibration of Modern Neural Networks (2017), section 4.2.
"""

import numpy as np
from scipy.optimize import minimize_scalar

from jobs.fit.fitted_head import Floats
from jobs.fit.labels.targets import Targets, row_weights
from jobs.fit.training.losses import loss_and_gradient

_MAX_LOG = 4.0


def fit_temperature(outputs: Floats, targets: Targets) -> float:
    """What logits `[N, K]` are divided by for the least loss on rows that were not fitted on; 1 for regression.

    It is within `exp(-4)` and `exp(4)`: where all rows are right, the best one would be 0.
    """
    if targets.problem == "regression":
        return 1.0
    weights = row_weights(targets, "none")

    def loss(log_temperature: float) -> float:
        scaled = outputs / np.exp(log_temperature)
        return loss_and_gradient(scaled, targets.values, weights, targets.problem)[0]

    found = minimize_scalar(loss, bounds=(-_MAX_LOG, _MAX_LOG), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
