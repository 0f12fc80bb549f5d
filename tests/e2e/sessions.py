#!/usr/bin/python3
"""Every step is stored, and with the right run: trainers that a launcher's environment, a pid or a death could bring together or part."""
import os
import signal
import subprocess
import time

import common
from common import check
from kill import SMALL, children, trainer_pid

STEPS = 600


def environment(bench, store, **more):
    return dict(bench.env, OPENBLAS_NUM_THREADS="1", LD_PRELOAD=bench.shim, GNSCOPE_STORE=store, GNSCOPE_SAMPLES="64", GNSCOPE_EVERY="1",
                **more)


def quiet(bench):
    common.wait_for(lambda: not common.recorders(bench), "the recorders end by themselves")


def complete(bench, store, name, steps=STEPS, status="finished"):
    common.sound(store)
    runs = common.query(store, "SELECT run_id, name, status FROM run")
    check(len(runs) == 1 and runs[0]["name"] == name and runs[0]["status"] == status, f"{store}: {runs}, not one run '{name}', {status}")
    there = common.query(store, "SELECT count(*) AS n, max(step) AS last FROM step")[0]
    check(there["n"] == there["last"] and there["n"] >= steps, f"{store}: {there}, not {steps} steps")


def independent(bench, name, wrap=(), **launcher):
    """Two trainers at once, with one launcher's environment."""
    stores = [bench.path(f"{name}-{i}.db") for i in range(2)]
    processes = [subprocess.Popen([*wrap, *bench.example("mlp", *SMALL, "--steps", STEPS)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, env=environment(bench, stores[i], GNSCOPE_NAME=f"{name}-{i}", **launcher)) for i in range(2)]
    for p in processes:
        err = p.communicate(timeout=300)[1]
        check(p.returncode == 0 and not err, f"{name}: status {p.returncode}, {err}")
    quiet(bench)
    for i in range(2):
        complete(bench, stores[i], f"{name}-{i}")
    print(f"{name}: two runs of {STEPS} steps")


def ranks(bench):
    """Ranks that a launcher started are one run."""
    store = bench.path("ranks.db")
    processes = [subprocess.Popen(bench.example("mlp", *SMALL, "--steps", STEPS), stdout=subprocess.DEVNULL,
                                  env=environment(bench, store, MASTER_PORT="29512", WORLD_SIZE="2", RANK=str(i))) for i in range(2)]
    check([p.wait(300) for p in processes] == [0, 0], "a rank failed")
    quiet(bench)
    check(common.query(store, "SELECT rank, steps FROM rank ORDER BY rank") == [{"rank": i, "steps": STEPS} for i in range(2)],
          "not two ranks in one run")
    check(common.query(store, "SELECT count(*) AS n FROM run") == [{"n": 1}], "not one run")
    print("two ranks: one run")


# The first process of a pid namespace takes all others with it: it stays until the recorder is done.
INIT = '"$@"; rc=$?; while grep -qsz "^recor[d]$" /proc/[0-9]*/cmdline; do sleep 0.1; done; exit $rc'


def namespaces():
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    return [*unshare, "sh", "-c", INIT, "sh"] if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode == 0 else None


def run_into_namespace(bench, wrap):
    """The recorder of `gnscope run` does not know the trainer's pid, which may be another's here."""
    store = bench.path("outside.db")
    bench.must(bench.gns_run(store, "--samples", 64, "--every", 1, "--name", "outside", "--", *wrap,
                             *bench.example("mlp", *SMALL, "--steps", STEPS)))
    complete(bench, store, "outside")
    print("a trainer in a pid namespace below the recorder's: whole")


def shared_memory_of(pid):
    with open(f"/proc/{pid}/maps") as f:
        return {line.split()[-1] for line in f if "/dev/shm/gnscope-" in line}


def everything_killed(bench, adopter, plain):
    """Trainer, recorder and `gnscope run` at once: what was finished is stored by whoever comes next."""
    name = f"all-{'plain' if plain else 'run'}-{adopter[0]}"
    store, log = bench.path(name + ".db"), bench.path(name + ".losses")
    trainer = bench.example("mlp", *SMALL, "--steps", 10 ** 8, "--losses", log)
    command = trainer if plain else bench.gns_run(store, "--samples", 64, "--every", 1, "--name", name, "--", *trainer)
    env = environment(bench, store, GNSCOPE_NAME=name) if plain else dict(bench.env, OPENBLAS_NUM_THREADS="1")
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    common.wait_for(lambda: len(common.read_losses(log)) > 200, "the trainer gets going")
    memory = shared_memory_of(trainer_pid(bench, process.pid))
    check(len(memory) >= 2, f"{name}: session and ring are in shared memory: {memory}")
    victims = [*common.recorders(bench), trainer_pid(bench, process.pid), *children(process.pid), process.pid]
    os.kill(common.recorders(bench)[0], signal.SIGSTOP)  # so that something is in the ring
    time.sleep(0.2)
    for sign in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: nobody sees another die, and begins a recorder
        for pid in victims:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
    process.wait(60)
    finished = len(common.read_losses(log))
    common.wait_for(lambda: not common.recorders(bench), "the recorder is gone")
    done = bench.run([bench.gnscope, *adopter, "--store", store])
    complete(bench, store, name, finished, "lost")
    left = [path for path in memory if os.path.exists(path)]
    check(not left, f"{name}: still in shared memory: {left}")
    check("killed" in done.stderr, f"{name}: {done.stderr!r} does not say what was found")
    print(f"{name}: {finished} finished steps, all there after '{' '.join(adopter)}'")


def test(args):
    with common.Bench(args) as bench:
        independent(bench, "port", MASTER_PORT="29511")
        independent(bench, "slurm", SLURM_JOB_ID="77", SLURM_STEP_ID="0")
        ranks(bench)
        wrap = namespaces()
        if wrap:
            independent(bench, "containers", wrap)
            run_into_namespace(bench, wrap)
        for adopter in (["list"], ["doctor", "--clean"]):
            everything_killed(bench, adopter, plain=True)
        everything_killed(bench, ["list"], plain=False)


if __name__ == "__main__":
    common.main(lambda: test(common.arguments(__doc__.splitlines()[0]).parse_args()))
