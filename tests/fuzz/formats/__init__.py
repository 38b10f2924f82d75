"""One file a format: `mutate(rng) -> case`, and `check(case)`, which raises anything but Refused for a fault."""
