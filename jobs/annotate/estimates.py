"""Words for estimates: numbers of tokens, how long a job takes and what it costs."""

from collections.abc import Iterator

from pipeline.driver.token_estimate import TokenEstimate
from pipeline.storage.printable import number_of


def describe_tokens(estimate: TokenEstimate | None, num_rows: int) -> Iterator[tuple[str, str]]:
    """Lines (name, value) on the tokens of a number of rows: of all passes together, then of each."""
    if estimate is None:
        yield "tokens", "not estimated, as no row that was drawn can be read"
        return
    basis = "counted" if estimate.is_exact else f"estimated from {number_of(estimate.num_rows, 'row')}"
    yield (
        "tokens",
        f"{about(estimate.tokens_per_row * num_rows, is_exact=estimate.is_exact)} through the trunk, {basis}",
    )
    for each in estimate.passes:
        tokens, sequences = (
            about(per_row * num_rows, is_exact=estimate.is_exact)
            for per_row in (each.tokens_per_row, each.sequences_per_row)
        )
        yield (
            f"  {', '.join(each.heads)}",
            f"{tokens} in {sequences} sequences, {each.tokens_per_row:,.1f} tokens a row",
        )


def describe_time(num_tokens: float, tokens_per_s: float, cost_per_hour: float | None) -> str:
    """How long so many tokens take, and what that costs if the price of an hour is known."""
    seconds = num_tokens / tokens_per_s
    cost = ""
    if cost_per_hour is not None:
        cost = f", which costs about {seconds / 3600 * cost_per_hour:,.2f} at {cost_per_hour:g} per hour"
    return f"about {in_words(seconds)} at {tokens_per_s:,.0f} tokens/s{cost}"


def about(number: float, *, is_exact: bool = False) -> str:
    """A number of things; an estimate with three digits."""
    return f"{round(number):,}" if is_exact else f"about {float(f'{number:.3g}'):,.0f}"


def in_words(seconds: float) -> str:
    """A duration with the units that matter."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 60 / 24:,.1f} days"
