#!/usr/bin/python3
"""Every parameter of PyTorch trainers from gnscope against every sample's gradient, by expanded weights in float64.

Each trainer runs under `gnscope run --every 1`, which is told nothing else. Then the same training runs without gnscope in a process that
computes each sample's gradient from its definition (tests/torch/per_sample.py). Losses and final weights of the two must be the same to the
bit, so that the numbers speak of the same gradients. By parameter and step: q_big; by parameter, steps pooled: q_small; of the run: b_noise.
"""
import json

import common
import torch_programs as programs
from common import check

FIRST = 4       # the first step that must be measured, and all after it
Q_BIG = 1e-4    # relative: float32 gradients squared and summed


def relative(got, want):
    return abs(got - want) / abs(want) if want else (0.0 if got == 0 else float("inf"))


def s_and_g2(n, q_small, q_big):
    return (q_small - q_big) / (1 - 1 / n), (n * q_big - q_small) / (n - 1)


class Stream:
    """One optimizer's steps on all ranks: what the store has, and the truth."""

    def __init__(self, store, run_id, truths):
        rows = common.query(store, "SELECT g.*, p.name FROM grad g JOIN param p USING (run_id, param_id) WHERE run_id = ?", run_id)
        check({r["source"] for r in rows} <= {"torch"}, f"sources {sorted({r['source'] for r in rows})}; torch alone expected")
        self.truths = truths  # by rank: [{name: [n, sum of squares, q_big]} a step]
        self.own = {name for step in truths[0] for name in step}
        self.got = {(r["step"], r["rank"], self.plain(r["name"])): r for r in rows}
        self.params = {self.plain(p["name"]): p for p in common.query(store, "SELECT * FROM param WHERE run_id = ?", run_id)}
        self.steps = len(truths[0])
        self.measured = sorted({step for step, _, _ in self.got})

    def plain(self, name):
        """Where a program has several models, gnscope puts the model's name in front."""
        rest = name.partition(".")[2]
        return rest if name not in self.own and rest in self.own else name

    def wanted(self, left_out):
        names = sorted(self.own)
        reasons = {n: reason for n in names for begin, reason in left_out.items() if n.startswith(begin)}
        for name in names:
            check(name in self.params, f"{name} is not among the parameters: {sorted(self.params)}")
            has = self.params[name]["left_out"]
            check((has or None) == reasons.get(name), f"{name} is left out for {has!r}, expected {reasons.get(name)!r}")
        return [n for n in names if n not in reasons]

    def compare(self, names, limit):
        """Worst q_big of all, worst pooled q_small of a parameter, and the run's b_noise: ours and exact."""
        missing = [s for s in range(FIRST, self.steps + 1) if s not in self.measured]
        check(not missing, f"{len(missing)} steps of {self.steps} not measured: {missing[:10]}")
        check(self.measured[-1] <= self.steps, f"step {self.measured[-1]} measured of {self.steps}")
        ours, exact = {n: [0.0, 0.0] for n in names}, {n: [0.0, 0.0] for n in names}
        worst = 0.0
        for step in self.measured:
            for rank, truth in enumerate(self.truths):
                n = max(v[0] for v in truth[step - 1].values())
                for name in names:
                    where = f"step {step}, rank {rank}, {name}"
                    row = self.got.get((step, rank, name))
                    check(row is not None, f"{where}: not measured")
                    have, want = (row["n_small"], row["n_big"], row["groups"]), (1, n * len(self.truths), n)
                    check(have == want, f"{where}: n_small, n_big, groups are {have}, {want} expected")
                    _, squares, q_big = truth[step - 1][name]
                    off = relative(row["q_big"], q_big)
                    check(off <= Q_BIG, f"{where}: q_big is {row['q_big']}, exactly {q_big}")
                    worst = max(worst, off)
                    for total, q_small, big in ((ours[name], row["q_small"], row["q_big"]), (exact[name], n * squares, q_big)):
                        total[0] += q_small
                        total[1] += big
        n *= len(self.truths)
        layers = {name: relative(ours[name][0], exact[name][0]) for name in names}
        far = max(layers, key=layers.get)
        check(layers[far] <= limit, f"{far}: q_small of {len(self.measured)} steps is {ours[far][0]}, exactly {exact[far][0]}, "
              f"off by {layers[far]:.2%}; by parameter: {', '.join(f'{k} {v:.2%}' for k, v in layers.items())}")
        totals = [[sum(column) for column in zip(*of.values())] for of in (ours, exact)]
        return worst, layers[far], [s_and_g2(n, *t) for t in totals]


def streams(store, truths):
    """The runs of the store's one program, in the order of the optimizers, which the truth has too."""
    runs = common.query(store, "SELECT * FROM run ORDER BY stream")
    check(len(runs) == len(truths[0]["streams"]), f"{len(runs)} runs, {len(truths[0]['streams'])} optimizers")
    for i, (run, name) in enumerate(zip(runs, truths[0]["streams"])):
        check(run["stream"] == i, f"the runs' streams are {[r['stream'] for r in runs]}")
        yield name, run["run_id"], Stream(store, run["run_id"], [t["streams"][name] for t in truths])


def names_seen(store):
    return {r["name"] for r in common.query(store, "SELECT name FROM event UNION SELECT name FROM collector WHERE value > 0")}


def run_case(bench, python, version, name, case):
    store, truth = bench.path(name + ".db"), bench.path(name + ".truth")
    logs = bench.path(name + ".losses"), bench.path(name + ".exact.losses")
    env = programs.environment(bench, case)
    command = programs.trainer(python, version, case, "--weights-hash", "--losses", logs[0])
    got = bench.must(bench.gns_run(store, "--every", 1, "--", *command), env=env)
    want = bench.must(programs.reference(python, version, case, truth, "--weights-hash", "--losses", logs[1]), env=env)
    check(got.stdout == want.stdout, f"another output than without gnscope:\n{got.stdout}\n{want.stdout}")
    check(open(logs[0]).read() == open(logs[1]).read(), "the losses differ from those without gnscope")
    truths = [json.load(open(truth if case.ranks == 1 else f"{truth}.{r}")) for r in range(case.ranks)]
    check(all(t["worst"] < 1e-9 for t in truths), f"the reference disagrees with single samples' backward passes by {truths[0]['worst']}")
    seen = names_seen(store)
    there = bool(case.device or "GNS_TEST_AS_DEVICE" in env) and "" not in case.left_out
    check(("steps_late" in seen) == there, f"values {'did not come' if there else 'came'} from a device")
    for part in case.seen:
        check(any(part in n for n in seen), f"nothing tells of {part!r}: {sorted(seen)}")
    shown = []
    for stream, run_id, data in streams(store, truths):
        shown.append(judge(bench, store, run_id, name if len(truths[0]["streams"]) == 1 else f"{name} {stream}", case, data))
    return shown[0]


def judge(bench, store, run_id, title, case, data):
    shown = bench.show(store, str(run_id))
    names = data.wanted(case.left_out)
    if not names:
        check(shown["b_noise"] is None, f"nothing was to be measured, and b_noise is {shown['b_noise']}")
        print(f"| {title} | {data.steps} | all left out: {', '.join(sorted(set(case.left_out.values())))} | | | | | |", flush=True)
        return None
    worst, layer, (ours, exact) = data.compare(names, case.q_small)
    b_ours, b_exact = ours[0] / ours[1], exact[0] / exact[1]
    off_s, off_b = relative(ours[0], exact[0]), relative(b_ours, b_exact)
    print(f"| {title} | {len(data.measured)} of {data.steps} | {len(names)} | {100 * shown['coverage']:.1f}% | {worst:.0e} | {layer:.2%} | "
          f"{off_s:.3%} | {b_ours:.4g}, {b_exact:.4g}, {off_b:.2%} |", flush=True)
    check(off_s <= 0.01, f"s is off by {off_s:.2%}")
    check(off_b <= case.b_noise, f"b_noise is {b_ours}, exactly {b_exact}")
    check(shown["sample_unit"] == "samples", f"the unit of a sample is {shown['sample_unit']!r}")
    check(case.left_out or shown["coverage"] >= 0.99, f"coverage is {shown['coverage']}")
    check(shown["b_noise"] is None or relative(shown["b_noise"], b_ours) < 1e-6, f"show says b_noise {shown['b_noise']}, its rows {b_ours}")
    return {"b": b_ours, "lo": shown["b_noise_lo"], "hi": shown["b_noise_hi"]}


def same_noise(name, got, other, want):
    """The same samples, dealt to ranks and micro-steps or under another constant, have the same b_noise."""
    check(relative(got["b"], want["b"]) < 0.02, f"b_noise of {name} is {got['b']}, of {other} {want['b']}")
    check(got["lo"] <= (want["hi"] or got["lo"]) and want["lo"] <= (got["hi"] or want["lo"]),
          f"the intervals of {name} and {other} do not meet: {got}, {want}")


def test(args):
    failed, done = [], {}
    with common.Bench(args) as bench:
        text, version = programs.torch_version(bench, args.python)
        if args.as_device:
            programs.as_device(bench, args.build)
        print(f"PyTorch {text}\n\n| case | steps measured | parameters | coverage | q_big, worst | q_small of a parameter, worst | s off by | "
              f"b_noise: gnscope, exact, off by |\n|---|---|---|---|---|---|---|---|", flush=True)
        for name, case in programs.chosen(args.case, version, args.device).items():
            try:
                done[name] = run_case(bench, args.python, version, name, case)
                if case.same_as in done:
                    same_noise(name, done[name], case.same_as, done[case.same_as])
            except common.Failed as e:
                print(f"| {name} | FAIL: {e} |", flush=True)
                failed.append(name)
        check(not failed, f"{len(failed)} of {len(done) + len(failed)} cases: {', '.join(failed)}")


if __name__ == "__main__":
    a = programs.arguments(common.arguments(__doc__.splitlines()[0]))
    common.main(lambda: test(a))
