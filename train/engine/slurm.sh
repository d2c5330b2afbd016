#!/usr/bin/env bash
# Train on two nodes of four GPUs each: sbatch train/slurm.sh PRESET --data DIR ... --batches 64 --workers 6
#SBATCH --job-name=skyedge
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --output=runs/slurm-%j.log
#SBATCH --signal=TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?got no SLURM_SUBMIT_DIR, expected to be started by sbatch from the root of the project}"
# shellcheck source=/dev/null
source .venv/bin/activate
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# The last state is at most --save-minutes old: send the job again with --resume to go on.
srun torchrun --nnodes="$SLURM_NNODES" --nproc_per_node=4 --rdzv_id="$SLURM_JOB_ID" --rdzv_backend=c10d \
  --rdzv_endpoint="$head_node:29500" train/fit.py "$@"
