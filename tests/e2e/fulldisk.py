#!/usr/bin/python3
"""A disk that fills up: the trainer goes on unharmed, the database stays sound, and the message is plain."""
import os
import shutil
import subprocess
import sys

import common
from common import check

SKIPPED = 77
STEPS = 20000
TRAINER = ("--data", "synthetic", "--hidden", 32, "--batch", 32, "--log-every", 0, "--weights-hash", "--steps", STEPS)


def in_own_mounts():
    """Restarts this test where it may mount: a private mount namespace, with root's rights there."""
    if os.environ.get("GNS_TEST_MOUNTS"):
        return
    flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    able = subprocess.run(["unshare", *flags, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if able.returncode:
        print("skipped: this machine lets us mount no tmpfs (unshare --mount failed)")
        sys.exit(SKIPPED)
    os.environ["GNS_TEST_MOUNTS"] = "1"
    os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


def test(args):
    with common.Bench(args) as bench:
        disk = bench.path("disk")
        os.mkdir(disk)
        bench.must(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk])
        try:
            full(bench, os.path.join(disk, "runs.db"))
            for name in os.listdir(disk):
                os.remove(os.path.join(disk, name))
            kept(bench, disk, os.path.join(disk, "runs.db"))
        finally:
            subprocess.run(["umount", "-l", disk])


def full(bench, store):
    env = dict(bench.env, OPENBLAS_NUM_THREADS="1", TMPDIR=os.path.dirname(store))
    log, alone = bench.path("losses"), bench.path("alone")
    plain = bench.must(bench.example("mlp", *TRAINER, "--losses", alone), env=env)
    got = bench.run(bench.gns_run(store, "--samples", 32, "--every", 1, "--",
                                  *bench.example("mlp", *TRAINER, "--losses", log)), env=env)
    free = shutil.disk_usage(os.path.dirname(store)).free
    check(got.returncode == 0, f"the trainer's status is {got.returncode}: {got.stderr}")
    check(open(log).read() == open(alone).read() and got.stdout == plain.stdout, "the training changed")
    check(store in got.stderr and "no space left" in got.stderr, f"the message names no full disk and no {store}: {got.stderr!r}")
    check("not all was stored" in got.stderr, f"what was lost is denied: {got.stderr!r}")
    check(len(got.stderr.splitlines()) <= 10, f"the message is repeated:\n{got.stderr}")
    # A reader needs room beside the file for its own index; the copy has it.
    copy = bench.path("copy.db")
    for end in ("", "-wal"):
        if os.path.exists(store + end):
            shutil.copy(store + end, copy + end)
    common.sound(copy)
    there = common.query(copy, "SELECT count(*) AS n FROM step")[0]["n"]
    torn = common.query(copy, "SELECT step FROM step s JOIN run r USING (run_id) WHERE step >= 3 AND "
                              "step > thinned_step AND 3 <> (SELECT count(*) FROM grad g WHERE "
                              " g.run_id = s.run_id AND g.step = s.step)")
    check(0 < there < STEPS, f"{there} steps of {STEPS} are there: the disk of 1 MiB was not filled")
    check(not torn, f"steps without all three weights: {torn[:5]}")
    print(f"{there} of {STEPS} steps fitted, {free} bytes free at the end; said:\n{got.stderr.strip()}")


def kept(bench, disk, store):
    """With a temporary folder on another disk nothing is lost: it is imported once there is room."""
    elsewhere = bench.path("elsewhere")
    os.mkdir(elsewhere)
    env = dict(bench.env, OPENBLAS_NUM_THREADS="1", TMPDIR=elsewhere)
    got = bench.run(bench.gns_run(store, "--samples", 32, "--every", 1, "--", *bench.example("mlp", *TRAINER)), env=env)
    check(got.returncode == 0 and "The run is kept" in got.stderr, f"status {got.returncode}, said: {got.stderr!r}")
    spool, = (os.path.join(elsewhere, name) for name in os.listdir(elsewhere))
    bench.must(["mount", "-o", "remount,size=256m", disk])
    bench.must([bench.gnscope, "import", "--store", store, spool], env=env)
    there = common.query(store, "SELECT count(*) AS n FROM step")[0]["n"]
    # A recorder that gets no processor for long enough finds its ring full: such steps are counted.
    counted = common.query(store, "SELECT sum(dropped_steps) AS n FROM rank")[0]["n"]
    check(there + counted == STEPS and there > 0.9 * STEPS and not os.listdir(elsewhere),
          f"{there} steps of {STEPS} are there, {counted} counted as lost, left: {os.listdir(elsewhere)}")
    print(f"{there} of {STEPS} steps after the import, {counted} counted as lost")


if __name__ == "__main__":
    a = common.arguments(__doc__).parse_args()
    in_own_mounts()
    common.main(lambda: test(a))
