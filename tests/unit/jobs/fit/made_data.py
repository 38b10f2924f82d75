"""Features and labels of a problem that is known: a layer of signal between layers of noise."""

import numpy as np

from jobs.fit.feature_blocks import FeatureArrays
from jobs.fit.fitted_head import Problem
from jobs.fit.labels.targets import RowFacts, Targets

NAMES = ("left", "middle", "right")


def made_data(problem: Problem = "single", num_rows: int = 2000) -> tuple[FeatureArrays, Targets, RowFacts]:
    """Layer 5 tells the labels, layer 2 a little of them, layer 9 nothing."""
    generator = np.random.default_rng(8)
    signal = generator.normal(size=(num_rows, 6))
    noise = generator.normal(size=(3, num_rows, 6))
    layers = {2: 30 * (signal + 3 * noise[0]), 5: 0.1 * (signal + 0.2 * noise[1]) + 4, 9: noise[2]}
    outputs = signal @ generator.normal(size=(6, 3))
    if problem == "single":
        values = np.argmax(outputs + 0.5 * generator.gumbel(size=outputs.shape), axis=1)
    elif problem == "multi_label":
        values = (outputs + generator.logistic(size=outputs.shape) > 1).astype(np.int8)
    else:
        values = outputs[:, 0] + 0.3 * generator.normal(size=num_rows)
    facts = RowFacts([f"document {n // 2}" for n in range(num_rows)], ["de", "sw"] * (num_rows // 2))
    return FeatureArrays(layers), Targets(problem, NAMES if problem != "regression" else ("score",), values), facts
