#!/usr/bin/python3
"""Every wrapper of cuBLAS and cuBLASLt passes its call on as it came (gpu_calls.c), and answers as the API would where the library is
not there (gpu_nothing.c).

    gpu_calls_test.py LIBRARY WATCH CALLS NOTHING FAKES
"""
import os
import re
import subprocess
import sys
import tempfile

LIBRARY, WATCH, CALLS, NOTHING, FAKES = sys.argv[1:6]
ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")} | {"GNSCOPE_EVERY": "1", "LD_LIBRARY_PATH": FAKES}
failed = 0


def run(*command, **more):
    return subprocess.run(command, env=ENVIRON | more, capture_output=True, text=True)


def right(lines):
    """17 functions, each right once, and wrong twice as the manual says."""
    assert len(lines) == 17, f"{len(lines)} lines"
    for line in lines:
        assert re.fullmatch(r"cublas\w+: status 0, result right; lda too small: status 7; no handle: status 1", line), line


def calls():
    plain = run(CALLS)
    assert plain.returncode == 0, f"status {plain.returncode} even alone: {plain.stderr}"
    right(plain.stdout.splitlines())
    for more in ({}, {"GNSCOPE_GPU": "0"}, {"GNS_FAKE_SYNC": "1"}):
        with tempfile.TemporaryDirectory() as folder:
            done = run(WATCH, LIBRARY, os.path.join(folder, "records"), CALLS, **more)
        assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, ""), f"{more}: {done}"


def nothing():
    symbols = [line.split(":")[0] for line in run(CALLS).stdout.splitlines()]
    cudnn = ["cudnnBackendExecute", "cudnnBackendPopulateCudaGraph", "cudnnConvolutionBackwardFilter"]
    done = run(NOTHING, *symbols, *cudnn, LD_PRELOAD=LIBRARY)
    want = [f"{s}: 1" for s in symbols] + [f"{s}: 1001" for s in cudnn]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, want, ""), done


for case in (calls, nothing):
    try:
        case()
    except AssertionError as error:
        failed += 1
        print(f"FAILED {case.__name__}: {error}")
print(f"{failed} failed")
sys.exit(failed != 0)
