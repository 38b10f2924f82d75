"""The one actor of a run that is there for all others: leaders, tasks and the driver."""

from pipeline.monitoring.progress_counter import ProgressCounter
from pipeline.replica.leaders import Leaders


class RunActor(ProgressCounter, Leaders):
    """Counts the progress, and knows the leaders. One process starts faster than two."""

    def __init__(self) -> None:
        ProgressCounter.__init__(self)
        Leaders.__init__(self)
