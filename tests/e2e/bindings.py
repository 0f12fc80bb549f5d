#!/usr/bin/python3
"""Whom PyTorch for CUDA and its libraries get their CUDA functions from when libgnscope.so is preloaded, by the linker's own report.

No GPU is needed. First: every function of WANTED is bound to libgnscope.so, whoever asks for it. Then: gnscope's wrappers find the real
ones: each is called with a handle of nothing, which the real function refuses, and the linker tells whom the wrapper asked. Give an interpreter that has PyTorch's default wheel: tests/e2e/bindings.py --python VENV/bin/python (scripts/test-matrix makes one).
"""
import glob
import os
import re
import sys

import common
from common import check

# Asked for by PyTorch's wheel for CUDA 13 (cublasSgemm_v2 by its libcusolver): what must be ours.
WANTED = {
    "cublasGemmEx": "libcublas.so", "cublasSgemm_v2": "libcublas.so", "cublasGemmStridedBatchedEx": "libcublas.so",
    "cublasLtMatmul": "libcublasLt.so", "ncclAllReduce": "libnccl.so", "ncclReduceScatter": "libnccl.so",
    "ncclGroupStart": "libnccl.so", "ncclGroupEnd": "libnccl.so", "cudnnBackendExecute": "libcudnn",
    "cudnnConvolutionBackwardFilter": "libcudnn", "cudaGraphLaunch": "libcudart.so",
    "cuptiSubscribe": "libcupti.so", "cuptiActivityRegisterCallbacks": "libcupti.so",
}
# A call of nothing: the real function answers with an error of its own and touches nothing.
CALLED = ["cublasGemmEx", "cublasSgemm_v2", "cublasGemmStridedBatchedEx", "cublasLtMatmul", "ncclAllReduce", "ncclReduceScatter",
          "cudnnBackendExecute", "cudaGraphLaunch"]
CALL = """
import ctypes, sys, torch
everything = ctypes.CDLL(None)
for name in sys.argv[1:]:
    function = getattr(everything, name)
    print(name, function(*[ctypes.c_void_p(0)] * 30), flush=True)
"""
LINE = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `(\w+)'")


def bindings(bench, env, words):
    """{symbol: {who asked: who answered}}, and what the program printed."""
    report = bench.path("bindings")
    for old in glob.glob(report + ".*"):
        os.unlink(old)
    done = bench.must(words, env=dict(env, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=report, LD_PRELOAD=bench.shim))
    found = {}
    for path in glob.glob(report + ".*"):
        with open(path, errors="replace") as f:
            for line in f:
                m = LINE.search(line)
                if m and m.group(3) in WANTED:
                    found.setdefault(m.group(3), {})[os.path.basename(m.group(1))] = m.group(2)
    return found, done.stdout


def bound(bench, args):
    found, _ = bindings(bench, dict(bench.env, LD_BIND_NOW="1"), [args.python, "-c", "import torch"])
    check(found, f"PyTorch of {args.python} asks for no CUDA function: is it a build for CUDA?")
    for symbol in WANTED:
        asked = {who: to for who, to in found.get(symbol, {}).items() if who != os.path.basename(bench.shim)}
        check(asked, f"no library asks for {symbol}")
        for who, to in asked.items():
            check(os.path.samefile(to, bench.shim), f"{who} gets {symbol} from {to}")
        print(f"| {symbol} | {', '.join(sorted(asked))} | libgnscope.so |", flush=True)


def answered(bench, args):
    found, printed = bindings(bench, bench.env, [args.python, "-c", CALL, *CALLED])
    results = dict(line.split() for line in printed.splitlines())
    for symbol in CALLED:
        to = [os.path.basename(t) for who, t in found.get(symbol, {}).items() if not os.path.samefile(t, bench.shim)]
        check(to and all(t.startswith(WANTED[symbol]) for t in to), f"the wrapper of {symbol} found {to or 'nothing'}")
        check(results[symbol] != "0", f"{symbol} of nothing succeeded")
        print(f"| {symbol} | of nothing: {results[symbol]} | {', '.join(sorted(set(to)))} |", flush=True)


def test(args):
    with common.Bench(args) as bench:
        print("| function | asked for by | bound to |\n|---|---|---|")
        bound(bench, args)
        print("\n| function | its answer | the real one, found by our wrapper |\n|---|---|---|")
        answered(bench, args)


if __name__ == "__main__":
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("--python", default=sys.executable, help="an interpreter that has PyTorch for CUDA (default: %(default)s)")
    a = p.parse_args()
    common.main(lambda: test(a))
