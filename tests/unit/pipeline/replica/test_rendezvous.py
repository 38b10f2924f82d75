import os

import torch.distributed as dist

from pipeline.replica.rendezvous import open_store
from tests.integration.listeners import listening_addresses


def test_the_store_of_a_group_listens_on_the_address_of_its_node_alone() -> None:
    before = listening_addresses(os.getpid())
    store = open_store("127.0.0.1", 2)
    assert listening_addresses(os.getpid()) - before <= {"127.0.0.1"}
    other = dist.TCPStore("127.0.0.1", store.port, 2, is_master=False)
    other.set("key", "value")
    assert store.get("key") == b"value"
