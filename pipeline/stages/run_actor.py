"""The one actor of a run that is there for all others: leaders, tasks and the driver."""

from pipeline.monitoring.progress_counter import ProgressCounter
from pipeline.replica.placement import LeaderPlaces


class RunActor(ProgressCounter, LeaderPlaces):
    """Counts the progress, and gives each leader its place. One process starts faster than two."""

    def __init__(self) -> None:
        ProgressCounter.__init__(self)
        LeaderPlaces.__init__(self)
