#!/usr/bin/python3
"""SIGKILL to the trainer at random moments loses no finished measured step; SIGKILL to the recorder harms no trainer.

The trainer flushes a line to its losses file after every step, which says what was finished. gnscope knows that a
step ended when the next one begins, so of L logged steps the last may still be open: L - 1 must be there, whole.
"""
import os
import random
import signal
import subprocess
import time

import common
from common import check

SMALL = ("--data", "synthetic", "--hidden", 128, "--batch", 64, "--log-every", 0)
FIRST = 3  # a weight is known by its recurrence: from this step on every step is measured


def start(bench, store, log, steps, plain):
    trainer = bench.example("mlp", *SMALL, "--steps", steps, "--losses", log)
    env = dict(bench.env, OPENBLAS_NUM_THREADS="1")
    if plain:
        env.update(LD_PRELOAD=bench.shim, GNSCOPE_STORE=store, GNSCOPE_SAMPLES="64", GNSCOPE_EVERY="1")
    else:
        trainer = bench.gns_run(store, "--samples", 64, "--every", 1, "--", *trainer)
    return subprocess.Popen(trainer, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trainer_pid(bench, parent):
    """The process of mlp below `gnscope run`, or parent itself; 0 when there is none yet."""
    for pid in [parent, *children(parent)]:
        try:
            if os.path.samefile(f"/proc/{pid}/exe", bench.mlp):
                return pid
        except OSError:
            pass
    return 0


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def whole(store, log):
    """Every finished step is there, whole. Returns their number."""
    finished = len(common.read_losses(log))
    if not os.path.exists(store):
        check(finished < FIRST, f"{finished} steps were finished, and no store was made")
        return 0
    common.sound(store)
    steps = common.query(store, "SELECT step, params FROM step ORDER BY step")
    numbers = [s["step"] for s in steps]
    check(numbers == list(range(1, len(steps) + 1)), f"steps are not 1, 2, 3, ...: {numbers[:5]} ... {numbers[-5:]}")
    # The first two teach which matrices are weights; from the third on a step is there before its optimizer runs.
    check(len(steps) >= finished or finished < FIRST, f"{finished} steps were finished, {len(steps)} are in the database")
    grads = {r["step"]: r["n"] for r in common.query(store, "SELECT step, count(*) AS n FROM grad GROUP BY step")}
    torn = [s for s in numbers if s >= FIRST and grads.get(s, 0) != 3]
    check(not torn, f"steps without all three weights: {torn[:10]}")
    return finished


def kill_trainer(bench, i, rng, plain=False):
    store, log = bench.path(f"kill-{i}.db"), bench.path(f"kill-{i}.losses")
    process = start(bench, store, log, 10 ** 8, plain)
    victim = common.wait_for(lambda: trainer_pid(bench, process.pid), "the trainer starts")
    time.sleep(rng.uniform(0, 0.4))
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    check(process.returncode in (-9, 137), f"kill {i}: status {process.returncode}; {out}{err}")
    if plain:
        common.wait_for(lambda: not common.recorders(bench), "the recorder ends by itself")
    return whole(store, log)


def trainers(bench, kills, seed):
    rng = random.Random(seed)
    counts = [kill_trainer(bench, i, rng) for i in range(kills - 4)]
    counts += [kill_trainer(bench, i, rng, plain=True) for i in range(kills - 4, kills)]
    check(sum(c > 1 for c in counts) > kills / 2, f"too few kills fell into training: {counts}")
    print(f"{kills} kills of the trainer (4 of them without `run`), {sum(counts)} finished steps, none lost")


def recorder(bench, name, plain):
    """Killed once in mid-run. The trainer must not notice, and what is missing is counted."""
    steps = 6000
    store, log, alone = (bench.path(name + end) for end in (".db", ".losses", ".alone"))
    bench.must(bench.example("mlp", *SMALL, "--steps", steps, "--losses", alone),
               env=dict(bench.env, OPENBLAS_NUM_THREADS="1"))
    process = start(bench, store, log, steps, plain)
    common.wait_for(lambda: len(common.read_losses(log)) > 300, "the trainer gets going")
    victims = common.wait_for(lambda: common.recorders(bench), "a recorder is at work")
    check(len(victims) == 1, f"{len(victims)} recorders for one run")
    os.kill(victims[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    check(process.returncode == 0, f"{name}: the trainer's status is {process.returncode}; {err}")
    check(open(log).read() == open(alone).read(), f"{name}: the trainer's losses changed")
    common.wait_for(lambda: not common.recorders(bench), "the recorder ends by itself")
    common.sound(store)
    shown = bench.show(store)
    there = common.query(store, "SELECT count(*) AS n FROM step")[0]["n"]
    check(there + (shown["dropped"] or 0) >= steps - 1,
          f"{name}: {there} of {steps} steps are there and {shown['dropped']} counted as dropped; {err}")
    if plain:
        check(there + (shown["dropped"] or 0) == steps and shown["status"] == "finished",
              f"{name}: {there} of {steps} steps there, {shown['dropped']} dropped, {shown['status']}")
    print(f"{name}: recorder killed; {there} of {steps} steps there, {shown['dropped']} counted as dropped; said: {err.strip()!r}")


VICTIMS = ("trainer", "recorder", "both", "everything")


def is_gone(pid):
    """Or a zombie: nobody may be there to collect it."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def strike(bench, process, trainer, what, plain, rng):
    """Kills what is to be killed; then the training program, too, and waits until the rest has ended."""
    time.sleep(rng.uniform(0, 0.4))
    recorders = common.recorders(bench) if what != "trainer" else []
    victims = {"trainer": [trainer], "recorder": recorders, "both": [trainer, *recorders],
               "everything": [trainer, *recorders] + ([] if plain else [process.pid])}[what]
    rng.shuffle(victims)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if what == "recorder":
        time.sleep(rng.uniform(0, 2))
        os.kill(trainer, signal.SIGKILL)
    process.communicate(timeout=60)
    common.wait_for(lambda: is_gone(trainer) and not common.recorders(bench),
                    f"kill of {what} ({'preload' if plain else 'run'}): trainer {trainer} and recorders end")


def one_kill(bench, i, rng):
    what, plain = VICTIMS[i % len(VICTIMS)], rng.random() < 0.5
    store, log = bench.path(f"campaign-{i}.db"), bench.path(f"campaign-{i}.losses")
    process = start(bench, store, log, 10 ** 8, plain)
    strike(bench, process, common.wait_for(lambda: trainer_pid(bench, process.pid), "the trainer starts"), what, plain, rng)
    finished = len(common.read_losses(log))

    def stored():
        """Any command stores what is left in memory of processes that were all killed; another one may be at it already."""
        bench.run([bench.gnscope, "list", "--store", store])
        if not os.path.exists(store):
            return finished < FIRST and (0, 0)
        there = common.query(store, "SELECT count(*) AS n FROM step")[0]["n"]
        counted = common.query(store, "SELECT coalesce(sum(dropped_steps), 0) AS n FROM rank")[0]["n"]
        return (there + counted >= finished or finished < FIRST) and (there, counted)

    counted = common.wait_for(stored, f"kill {i} ({what}, {'preload' if plain else 'run'}): {finished} finished steps are stored or counted")[1]
    if os.path.exists(store):
        common.sound(store)
    for path in (store, log):
        if os.path.exists(path):
            os.unlink(path)
    return what, finished, min(counted, finished)


def campaign(bench, kills, seed):
    rng = random.Random(seed)
    done = [one_kill(bench, i, rng) for i in range(kills)]
    for what in VICTIMS:
        mine = [d for d in done if d[0] == what]
        print(f"{len(mine)} kills of {what}: {sum(d[1] for d in mine)} finished steps, all stored but {sum(d[2] for d in mine)}, "
              "which were counted as lost")


def test(args):
    with common.Bench(args) as bench:
        campaign(bench, args.campaign, args.seed)
        trainers(bench, args.kills, args.seed)
        recorder(bench, "recorder-run", plain=False)
        recorder(bench, "recorder-plain", plain=True)


if __name__ == "__main__":
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("--kills", type=int, default=50)
    p.add_argument("--campaign", type=int, default=12, help="kills of trainer, recorder, both and everything in turn")
    p.add_argument("--seed", type=int, default=int(time.time()))
    a = p.parse_args()
    print(f"seed {a.seed}")
    common.main(lambda: test(a))
