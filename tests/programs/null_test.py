#!/usr/bin/python3
"""The template of a collector (collectors/null) counts every call and changes none; the library without it has no such counter.

    null_test.py GNSCOPE CALLS LIBRARY LIBRARY_WITH_IT
"""
import os
import sqlite3
import subprocess
import sys
import tempfile

GNSCOPE, CALLS, PLAIN, WITH_NULL = sys.argv[1:5]
N = 12345


def counted(library):
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "runs.db")
        command = [GNSCOPE, "run", "--lib", library, "--store", store, "--", CALLS, str(N)]
        env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stdout) == (0, f"{N * (N - 1) + N} 50\n"), done
        with sqlite3.connect(store) as db:
            return db.execute("SELECT name, value FROM collector WHERE collector = 'null'").fetchall()


assert counted(WITH_NULL) == [("null_compute", N)], counted(WITH_NULL)
assert counted(PLAIN) == [], counted(PLAIN)
