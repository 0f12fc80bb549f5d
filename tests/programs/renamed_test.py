#!/usr/bin/python3
"""Products by the names of NumPy's wheel and of ILP64 builds: every sample's norm as the trainer itself has it.

    renamed_test.py LIBRARY GNSCOPE PROGRAM...
"""
import os
import sqlite3
import subprocess
import sys
import tempfile

library, gnscope, programs = sys.argv[1], sys.argv[2], sys.argv[3:]
N = 16
with tempfile.TemporaryDirectory() as folder:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    for program in programs:
        store = os.path.join(folder, os.path.basename(program) + ".db")
        done = subprocess.run([gnscope, "run", "--lib", library, "--store", store, "--every", "1", "--samples", str(N), "--", program], env=env,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        truth = [list(map(float, line.split())) for line in done.stdout.split("\n")[:-1]]
        db = sqlite3.connect(store)
        rows = {}
        for step, cells, q_small, q_big in db.execute("SELECT step, p.rows * p.cols, q_small, q_big FROM grad g JOIN param p USING (run_id, param_id)"):
            rows.setdefault(step, {})[cells] = (q_small, q_big)
        assert len(rows) >= len(truth) - 4, f"{program}: {len(rows)} of {len(truth)} steps measured: {done.stderr}"
        for step, found in rows.items():
            s1, s2, b1, b2 = truth[step - 1]
            for cells, small, big in ((120, s1, b1), (50, s2, b2)):
                q_small, q_big = found[cells]
                assert abs(q_small - N * small) < 1e-5 * N * small and abs(q_big - big) < 1e-5 * big, f"{program}, step {step}: {found}, {truth[step - 1]}"
        print(f"{os.path.basename(program)}: {len(rows)} of {len(truth)} steps, two weights, as they are")
