#!/bin/bash
# A Ray cluster for one job on Slurm: the driver runs on the first node, ranks on all of them.
#
#   sbatch slurm.sh nightly.toml
#
# The folder from which it is submitted holds the environment (.venv); it, models, corpus and output are on a file
# system that all nodes share.
#SBATCH --job-name=xlmr-annotate
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=22:00:00

set -euo pipefail

job=${1:?the job file}
source .venv/bin/activate

# One token for this cluster alone, in a file that only this user can read.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$PWD/.ray-token-$SLURM_JOB_ID"
(umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH")

# Sessions of Ray in a folder that only this user can enter; paths of sockets have to be short.
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID"
srun mkdir -m 700 "$RAY_TMPDIR"

clean_up() {
    rm -f "$RAY_AUTH_TOKEN_PATH"
    srun rm -rf "$RAY_TMPDIR"
}
trap clean_up EXIT

# Nodes of a large allocation start at different times.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# Starts Ray on each node, runs the command on the first, and ends Ray on all: `ray stop` ends every Ray of this user on
# a node, hence --exclusive. Its exit code is that of the command: 3 if some fragments failed.
srun ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    python -m jobs.annotate "$job" --address "$head:6379"
