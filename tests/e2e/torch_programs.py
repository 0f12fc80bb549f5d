"""The PyTorch trainers of tests/torch/programs that the end-to-end tests run, each by a name, and how one is started."""
import copy
import os
import socket

from common import ROOT, check

PROGRAMS = os.path.join(ROOT, "tests", "torch", "programs")
EXACT = os.path.join(ROOT, "tests", "torch", "exact.py")


class Case:
    def __init__(self, *words, ranks=1, since=(1, 13), left_out=None, left_out_since=(1, 13), q_small=0.01, b_noise=0.02, same_as=None, seen=()):
        self.program, self.options = words[0], [str(w) for w in words[1:]]
        self.ranks = ranks
        self.since = since        # the first PyTorch that has what it needs
        self.left_out = left_out or {}  # parameter (or its beginning) -> reason it is left out for,
        self.left_out_since = left_out_since  # by this PyTorch and later ones
        self.q_small, self.b_noise = q_small, b_noise  # limits, relative
        self.device = None        # the program's own
        self.same_as = same_as    # the case that has the same b_noise
        self.seen = seen          # names of events and counters that must be there


CASES = {
    "mlp": Case("train", "mlp"),
    "mlp-adamw": Case("train", "mlp", "--optimizer", "AdamW", "--lr", 0.003),
    "dropout": Case("train", "dropout"),
    "double": Case("train", "mlp", "--double"),
    "scaled": Case("train", "mlp", "--times", 1024, "--lr", 0.02 / 1024, same_as="mlp"),
    "summed": Case("train", "mlp", "--sum", "--lr", 0.02 / 64, same_as="mlp"),
    "accumulate-4": Case("train", "mlp", "--accumulate", 4, same_as="mlp"),
    "evaluated": Case("train", "mlp", "--evaluate", same_as="mlp"),
    "frozen": Case("train", "mlp", "--freeze", "fc1"),
    "closure": Case("train", "mlp", "--closure", same_as="mlp"),
    "clipped": Case("train", "mlp", "--clip", 0.3, seen=("clip",)),
    "cnn": Case("train", "cnn", "--lr", 0.05),
    "cnn-bn": Case("train", "cnn-bn", "--lr", 0.05, seen=("batchnorm",)),
    "cnn-gn": Case("train", "cnn-gn", "--lr", 0.05, "--accumulate", 4),
    "penalty": Case("train", "mlp", "--penalty", 1),
    "lm": Case("train", "lm"),
    "lm-tied": Case("train", "lm-tied"),
    "encoder": Case("train", "encoder", "--optimizer", "Adam", "--lr", 0.002),
    "lstm": Case("train", "lstm", "--optimizer", "Adam", "--lr", 0.01, left_out={"lstm.": "recurrent"}, left_out_since=(2, 0)),
    "lstm-time": Case("train", "lstm-time", "--optimizer", "Adam", "--lr", 0.01, left_out={"lstm.": "recurrent"}, left_out_since=(2, 0)),
    "checkpoint-reentrant": Case("train", "deep", "--checkpoint", "reentrant"),
    "checkpoint-saved": Case("train", "deep", "--checkpoint", "saved"),
    # Gradients in bfloat16 have errors of their own, which the float64 reference has not.
    "amp": Case("train", "mlp", "--amp", q_small=0.02, b_noise=0.05),
    "scaler": Case("train", "mlp", "--scaler", "--clip", 0.3, since=(2, 3), seen=("skip",)),
    "gan": Case("gan"),
    "ddp-2": Case("train", "mlp", "--ddp", ranks=2, same_as="mlp"),
    "ddp-2-accumulate-2": Case("train", "mlp", "--ddp", "--accumulate", 2, ranks=2, same_as="mlp"),
    "ddp-4": Case("train", "mlp", "--ddp", ranks=4, same_as="mlp"),
    "compiled": Case("train", "mlp", "--compile", "aot_eager", since=(2, 0), left_out={"": "compiled"}),
}


def torch_version(bench, python):
    got = bench.must([python, "-c", "import torch; print(torch.__version__)"]).stdout.strip()
    return got, tuple(int(part) for part in got.split("+")[0].split(".")[:2] if part.isdigit())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def launch(python, version, script, ranks):
    """The words that start a script, by PyTorch's own launcher where it has ranks. That of 1.13 does not work on Python 3.11."""
    if ranks == 1:
        return [python, script]
    launcher = ["-m", "torch.distributed.run"] if version >= (2, 0) else [os.path.join(PROGRAMS, "launch.py")]
    return [python, *launcher, "--nproc_per_node", str(ranks), "--master_addr", "127.0.0.1", "--master_port", str(free_port()), script]


def environment(bench, case):
    return dict(bench.env, OMP_NUM_THREADS="1") if case.ranks > 1 else bench.env


def as_device(bench, build):
    """The programs' tensors are taken for those of a device that the fake libcuda has: tests/torch/as_device."""
    bench.env.update(GNS_TEST_AS_DEVICE="1", PYTHONPATH=os.path.join(ROOT, "tests", "torch", "as_device"),
                     LD_LIBRARY_PATH=os.path.join(build, "fakes"), GNS_FAKE_SYNC="1", GNS_FAKE_ANY="1", GNSCOPE_KERNELS="off")


def trainer(python, version, case, *more):
    return [*launch(python, version, os.path.join(PROGRAMS, case.program + ".py"), case.ranks), *case.options, *on(case), *map(str, more)]


def reference(python, version, case, truth, *more):
    return [*launch(python, version, EXACT, case.ranks), case.program, truth, *case.options, *on(case), *map(str, more)]


def on(case):
    return ["--device", case.device] if case.device else []


def chosen(names, version, device=None):
    """The named cases, or all that this PyTorch has what they need for."""
    for name in names:
        check(name in CASES, f"{name} is none of the cases: {', '.join(CASES)}")
    picked = {n: copy.copy(c) for n, c in CASES.items() if (not names or n in names) and version >= c.since}
    for case in picked.values():
        case.left_out = case.left_out if version >= case.left_out_since else {}
        case.device = device
    return picked


def arguments(p):
    p.add_argument("--python", default="/usr/bin/python3", help="the interpreter, which has PyTorch (default: %(default)s)")
    p.add_argument("--device", help="of the programs that know one (default: this processor)")
    p.add_argument("--as-device", action="store_true", help="take this processor's tensors for a device's, with the fake libcuda")
    p.add_argument("case", nargs="*", help="default: all that this PyTorch has what they need for")
    return p.parse_args()
