#!/usr/bin/python3
"""Threads that leave the shim in the middle (leave.c): the program trains on to its end, and prints what it prints alone.

    leave_test.py LIBRARY PROGRAM LEAVE
"""
import os
import sqlite3
import subprocess
import sys
import tempfile

LIBRARY, PROGRAM, LEAVE = sys.argv[1:4]
TIMES = (100, 300, 600, 900, 1300, 1800, 2500, 4000, 7000)
CASES = ([("deferred", 40)] * 5 + [("stack", kib) for kib in (16, 20, 24, 32, 48, 64)] +
         [(how, us) for how in ("async", "jump", "end", "fork", "exit") for us in TIMES])
failed = 0
with tempfile.TemporaryDirectory() as folder:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    environ.update(GNSCOPE_EVERY="1", GNSCOPE_SAMPLES="8", GNSCOPE_BIN=PROGRAM, GNSCOPE_STORE=os.path.join(folder, "runs.db"))
    for how, amount in CASES:
        try:
            done = subprocess.run([LEAVE, how, str(amount)], env={**environ, "LD_PRELOAD": LIBRARY}, capture_output=True, text=True, timeout=60)
            said = (done.returncode, done.stdout, done.stderr)
        except subprocess.TimeoutExpired:
            said = "hangs"
        if said != (0, "trained\n", ""):
            failed += 1
            print(f"FAILED {how} {amount}: {said}")
    # Under `gnscope run`: exit() in a handler is an end like any other.
    store = os.path.join(folder, "exit.db")
    for us in TIMES:
        subprocess.run([PROGRAM, "run", "--store", store, "--lib", LIBRARY, "--", LEAVE, "exit", str(us)], env=environ, capture_output=True)
    statuses = {row[0] for row in sqlite3.connect(store).execute("select status from run")}
    if statuses != {"finished"}:
        failed += 1
        print(f"FAILED exit: {statuses}")
print(f"{len(CASES) + 1} cases, {failed} failed")
sys.exit(failed != 0)
