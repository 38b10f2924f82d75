"""Options of Transformers' `from_pretrained` that have no effect here, or are not supported."""

from collections.abc import Mapping
from typing import Any

# Loading always holds at most the weights and one more tensor, downloads are always resumed, and no code of a
# checkpoint is ever run.
ALWAYS_SO = ("low_cpu_mem_usage", "resume_download", "trust_remote_code")
REMEDIES = {
    "device_map": "device= says where the weights go, and group= splits them over ranks",
    "from_flax": "only safetensors and PyTorch's files are read",
    "from_tf": "only safetensors and PyTorch's files are read",
    "load_in_8bit": "trunk.fuse(quantization) computes in eight bits",
    "max_memory": "group= splits the weights over ranks",
    "mirror": "set HF_ENDPOINT in the environment",
    "offload_folder": "group= splits the weights over ranks",
    "offload_state_dict": "loading never holds more than the weights and one tensor",
    "proxies": "set HTTPS_PROXY in the environment",
    "use_auth_token": "pass token=",
    "variant": "rename the files to model.safetensors",
}


def without_neutral_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the options that ask for nothing, such as `device_map=None`; returns the others.

    Raises:
        ValueError: one of them asks for something. The message names the option and a remedy, but not the value,
            which may be a secret.
    """
    for name, remedy in REMEDIES.items():
        value = options.get(name)
        # Not `in (None, False)`: device 0 is equal to False.
        if value is not None and value is not False:
            raise ValueError(f"{name} must be None, other values are not supported: {remedy}")
    return {name: value for name, value in options.items() if name not in REMEDIES and name not in ALWAYS_SO}
