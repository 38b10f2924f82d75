"""What features are made of: heads that read the same texts in the same way share them."""

from dataclasses import dataclass
from typing import Any

from jobs.fit.fitted_head import Pooling
from jobs.fit.settings import FitHead, FitSettings


@dataclass(frozen=True)
class FeatureSource:
    """A text, a pair or words, and the pooling of their states."""

    pooling: Pooling
    text: str | None = None
    text_pair: str | None = None
    words: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(column for column in (self.text, self.text_pair, self.words) if column is not None)

    @property
    def head(self) -> dict[str, Any]:
        """What an embedding head reads for it."""
        if self.words is not None:
            return {"words": self.words}
        pair = {} if self.text_pair is None else {"text_pair": self.text_pair}
        return {"text": self.text, **pair, "pooling": self.pooling}


def source_of(settings: FitSettings, head: FitHead) -> FeatureSource:
    """What a head reads."""
    words = settings.words_of(head)
    if words is not None:
        return FeatureSource("word", words=words)
    shared = settings.input
    return FeatureSource(head.pooling, head.text or shared.text, head.text_pair or shared.text_pair)


def sources_of(settings: FitSettings) -> tuple[FeatureSource, ...]:
    """What all heads read, each once."""
    return tuple(dict.fromkeys(source_of(settings, head) for head in settings.heads.values()))
