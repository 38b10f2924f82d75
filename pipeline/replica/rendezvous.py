"""The ranks of a shard group find each other, over torch.distributed. No Ray."""

import os
import socket
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist

from model import ShardGroup


def open_store(host: str, size: int) -> dist.TCPStore:
    """The store of the group, which rank 0 opens on a free port of its node's address."""
    # Without a socket of ours it would listen on all interfaces.
    listener = socket.create_server((host, 0))
    port: int = listener.getsockname()[1]
    return dist.TCPStore(
        host, port, size, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )


def join_group(
    rank: int,
    size: int,
    device: str,
    address: tuple[str, int] | None,
    store: dist.TCPStore | None,
    *,
    start_timeout_s: float,
    collective_timeout_s: float,
) -> ShardGroup:
    """Join the other ranks at the address of the store, which rank 0 has open; without an address, be alone."""
    if address is None:
        return ShardGroup()
    timeout = timedelta(seconds=start_timeout_s)
    store = store or dist.TCPStore(*address, size, is_master=False, timeout=timeout)
    # Processes start at different times; from here on they are in step, and short timeouts suffice.
    store.set(f"started/{rank}", "")
    store.wait([f"started/{other}" for other in range(size)], timeout)
    if device == "cpu":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _interface_of(address[0]))
    dist.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=collective_timeout_s),
    )
    return ShardGroup(rank, size, dist.group.WORLD)


def are_in_step(rank: int, size: int, device: str) -> bool:
    """Whether all ranks are at the same collective; one that left a batch early may be ahead."""
    sent = torch.full((1,), float(rank + 1), device=device)
    dist.all_reduce(sent)
    return sent.item() == size * (size + 1) / 2


def _interface_of(address: str) -> str:
    """The network interface with this address, so that gloo does not advertise the loopback interface."""
    import fcntl  # noqa: PLC0415  # not available on every platform that imports this file
    import struct  # noqa: PLC0415

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):
                found = fcntl.ioctl(probe.fileno(), 0x8915, request)[20:24]  # SIOCGIFADDR
                if socket.inet_ntoa(found) == address:
                    return name
    return "lo"
