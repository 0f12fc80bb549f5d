#!/usr/bin/python3
"""Starts a script once for each rank, as torch.distributed.run does: launch.py --nproc_per_node N --master_addr A --master_port P SCRIPT ..."""
import os
import subprocess
import sys

_, _, ranks, _, address, _, port, *script = sys.argv
started = []
for rank in map(str, range(int(ranks))):
    env = dict(os.environ, RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=ranks, MASTER_ADDR=address, MASTER_PORT=port)
    started.append(subprocess.Popen([sys.executable, *script], env=env))
sys.exit(max(p.wait() for p in started))
