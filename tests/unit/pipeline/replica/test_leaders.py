from typing import Any, cast

from ray.actor import ActorHandle

from pipeline.replica.leaders import Leaders


def handle(name: str) -> ActorHandle[Any]:
    return cast(ActorHandle[Any], name)


def test_each_leader_has_a_place_on_its_node_if_there_is_one_and_gets_it_again() -> None:
    leaders = Leaders()
    nodes = ["x", "x", "y"]
    assert leaders.place("a", "y", nodes) == 2
    assert leaders.place("b", "x", nodes) == 0
    # No place is left on its node.
    assert leaders.place("c", "y", nodes) == 1
    # It has been restarted on another node.
    assert leaders.place("a", "x", nodes) == 2


def test_fragments_are_handed_over_to_leaders_with_ranks_in_turn() -> None:
    leaders = Leaders()
    assert leaders.other_leader("a") is None
    for name in ("a", "b", "c"):
        leaders.open_leader(name, handle(name))
    assert {leaders.other_leader("a") for _ in range(4)} == {"b", "c"}
    leaders.close_leader("b")
    assert {leaders.other_leader("a") for _ in range(4)} == {"c"}
    # A leader that has been restarted has no ranks yet.
    leaders.place("c", "x", ["x"])
    assert leaders.other_leader("a") is None
