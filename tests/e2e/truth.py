#!/usr/bin/python3
"""B_noise from gnscope against every sample's gradient computed by brute force.

The example trains once under `gnscope run --every 1`, knowing nothing of it. The same example, with the same seed,
then trains here without the shim, every sample's weight gradient A_i is materialised in float64 (one-row samples:
|A_i|^2 = |x_i|^2 |y_i|^2, the same number), and on two steps each sample's own backward pass confirms that.
Both runs must give the same losses to the bit, so the numbers speak of the same gradients.
"""
import importlib
import math
import os
import sys

import common
from common import ROOT, check

import torch
from torch import nn

sys.path.insert(0, os.path.join(ROOT, "examples"))
sys.dont_write_bytecode = True


def matrix_weights(model):
    """name -> Linear for every weight that enters a matrix product; every other 2-D parameter must be a lookup table."""
    linear = {n + ".weight": m for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    tables = {n + ".weight" for n, m in model.named_modules() if isinstance(m, nn.Embedding)}
    for name, p in model.named_parameters():
        check(p.dim() < 2 or name in linear or name in tables, f"{name}: a matrix of no known use; teach this test")
    return linear


class Operands:
    """Keeps each linear layer's input and output gradient of one step, by hooks that only look."""

    def __init__(self, linear):
        self.x, self.y, self.order = {}, {}, []
        for name, module in linear.items():
            module.register_forward_hook(lambda m, inp, out, name=name: self.forward(name, inp[0], out))

    def forward(self, name, x, out):
        if not out.requires_grad:
            return
        if name not in self.order:
            self.order.append(name)
        check(name not in self.x, f"{name} is used twice in a step")
        self.x[name] = x.detach()
        out.register_hook(lambda g: self.y.__setitem__(name, g.detach()))

    def per_sample(self, name):
        """n |A_i| squared for each of the n samples: squared norms of each sample's own loss gradient."""
        x, y = self.x[name].double(), self.y[name].double()
        n = x.shape[0]
        if x.dim() == 2:
            q = x.square().sum(1) * y.square().sum(1)
        else:
            q = torch.stack([(yi.t() @ xi).square().sum() for xi, yi in zip(x, y)])
        return n * n * q

    def clear(self):
        self.x.clear()
        self.y.clear()


def loop_check(example, model, operands, linear, x, y, step):
    """The formulas against one backward pass a sample, on the same batch."""
    names = list(linear)
    weights = [linear[n].weight for n in names]
    own = {n: [] for n in names}
    for i in range(len(x)):
        loss = example.loss_of(model, x[i:i + 1], y[i:i + 1])
        for n, g in zip(names, torch.autograd.grad(loss, weights)):
            own[n].append(g.double().square().sum().item())
        operands.clear()
    return {n: (step, own[n]) for n in names}


def brute_force(example, args, looped):
    """{step: {name: (n, q_small, q_big)}}, losses, names in order of first use."""
    model, optimizer, data = example.setup(args)
    linear = matrix_weights(model)
    operands = Operands(linear)
    truth, losses, worst = {}, [], 0.0
    for step, x, y in example.batches(args, data):
        own = loop_check(example, model, operands, linear, x, y, step) if step in looped else {}
        optimizer.zero_grad()
        loss = example.loss_of(model, x, y)
        loss.backward()
        truth[step] = {}
        for name, module in linear.items():
            per = operands.per_sample(name)
            q_big = module.weight.grad.double().square().sum().item()
            truth[step][name] = (len(per), per.mean().item(), q_big)
            if own:
                loop = torch.tensor(own[name][1], dtype=torch.float64)
                worst = max(worst, ((per - loop).abs() / loop.mean()).max().item())
        operands.clear()
        optimizer.step()
        losses.append((step, loss.item()))
    print(f"per-sample norms against {len(looped)} steps of single-sample backward passes: worst {worst:.1e} of the mean")
    check(worst < 1e-4, f"the brute force disagrees with single-sample backward passes by {worst:.1e}")
    return truth, losses, [(n, tuple(linear[n].weight.shape)) for n in operands.order]


def measured(store):
    """{step: {param_id: row}} of the database's measured steps, and the parameters."""
    grads = common.query(store, "SELECT step, param_id, n_small, n_big, groups, q_small, q_big FROM grad ORDER BY step")
    params = common.query(store, "SELECT * FROM param ORDER BY param_id")
    steps = {}
    for row in grads:
        steps.setdefault(row["step"], {})[row["param_id"]] = row
    return steps, params


def match_weights(steps, params, order, truth):
    """param_id -> name, by order of first forward use and shape; q_big then proves or refutes it."""
    used = sorted({p for rows in steps.values() for p in rows})
    by_id = {p["param_id"]: p for p in params}
    got = [(p, (by_id[p]["rows"], by_id[p]["cols"])) for p in used]
    want = "\n".join(f"  {name} {shape}" for name, shape in order)
    seen = "\n".join(f"  {p} {by_id[p]['name']} {shape}" for p, shape in got)
    check(len(got) == len(order), f"{len(got)} weights measured, the model has {len(order)}:\n{want}\nmeasured:\n{seen}")
    check(sorted(s for _, s in got) == sorted(s for _, s in order), f"shapes differ:\n{want}\nmeasured:\n{seen}")
    step = max(steps)
    left, names = dict(order), {}
    for p, shape in got:
        row = steps[step].get(p)
        check(row is not None, f"weight {p} is measured in some steps but not in step {step}")
        near = min((n for n in left if left[n] == shape), key=lambda n: abs(truth[step][n][2] - row["q_big"]), default=None)
        check(near is not None, f"no weight of shape {shape} left for {p}")
        names[p] = near
        del left[near]
    return names


def relative(got, want):
    return abs(got - want) / abs(want) if want else math.inf


def pooled(rows, weights):
    """s, g2 and b_noise of [(n, q_small, q_big)] per step, steps pooled by what they represent: ratio of the means."""
    s = g2 = 0.0
    for (n, q_small, q_big), w in zip(rows, weights):
        s += w * (q_small - q_big) / (1 - 1 / n)
        g2 += w * (n * q_big - q_small) / (n - 1)
    return s / sum(weights), g2 / sum(weights), s / g2


def compare_steps(steps, truth, names):
    """Worst relative error of q_big by layer and in total; per-step totals of both."""
    worst_layer, worst_total, ours, theirs = (0.0, ""), (0.0, 0), [], []
    for step in sorted(steps):
        check(step in truth, f"the database has step {step}, the trainer made only {max(truth)}")
        check(set(steps[step]) == set(names), f"step {step}: {len(steps[step])} of {len(names)} weights measured")
        totals, exact = [0.0, 0.0], [0.0, 0.0]
        for p, row in steps[step].items():
            n, q_small, q_big = truth[step][names[p]]
            check((row["n_small"], row["n_big"], row["groups"]) == (1, n, n),
                  f"step {step}, {names[p]}: n_small, n_big, groups are {row['n_small']}, {row['n_big']}, "
                  f"{row['groups']}; 1, {n}, {n} expected")
            worst_layer = max(worst_layer, (relative(row["q_big"], q_big), f"step {step}, {names[p]}"))
            totals = [totals[0] + row["q_small"], totals[1] + row["q_big"]]
            exact = [exact[0] + q_small, exact[1] + q_big]
        worst_total = max(worst_total, (relative(totals[1], exact[1]), step))
        ours.append((n, *totals))
        theirs.append((n, *exact))
    return worst_layer, worst_total, ours, theirs


def run():
    p = common.arguments(__doc__.splitlines()[0])
    p.add_argument("example", choices=["fashion_mnist", "char_lm"])
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--weights", type=int, required=True, help="number of matrix weights that the model is known to have")
    p.add_argument("--first", type=int, default=3, help="the first step that must be measured, and all after it")
    p.add_argument("--b-within", type=float, default=0.02)
    p.add_argument("--s-within", type=float, default=0.01)
    p.add_argument("--q-within", type=float, default=1e-5)
    args, more = p.parse_known_args()
    common.main(lambda: test(args, [w for w in more if w != "--"]))


def test(args, more):
    with common.Bench(args, torch=False) as bench:
        example = importlib.import_module(args.example)
        options = ["--steps", str(args.steps), "--seed", "1", *more]
        settings = example.parse_args(options)
        store, log = bench.path("runs.db"), bench.path("losses")
        bench.must(bench.gns_run(store, "--samples", settings.batch_size, "--every", 1, "--",
                                 *bench.example(args.example, *options, "--losses", log)))

        truth, losses, order = brute_force(example, settings, {1, args.steps // 2})
        check(losses == common.read_losses(log), "the two runs' losses differ: they are not the same training")
        check(len(order) == args.weights, f"the model has {len(order)} matrix weights, {args.weights} expected")

        steps, params = measured(store)
        missing = [s for s in range(args.first, args.steps + 1) if s not in steps]
        check(not missing, f"{len(missing)} steps of {args.steps} not measured: {missing[:10]}")
        names = match_weights(steps, params, order, truth)
        for pid, name in sorted(names.items()):
            print(f"  weight {pid}: {name} {dict(order)[name]}")
        layer, total, ours, theirs = compare_steps(steps, truth, names)
        w = common.weights(steps, args.steps)
        verdict(args, bench.show(store), steps, layer, total, pooled(ours, w), pooled(theirs, w), ours[0][0])


def verdict(args, shown, steps, layer, total, ours, exact, n):
    print(f"steps measured {len(steps)} of {args.steps}, {n} samples each, first {min(steps)}, weights {args.weights}")
    print(f"{'':10}{'gnscope':>14}{'exact':>14}{'off by':>10}")
    for name, i in (("s", 0), ("g2", 1), ("b_noise", 2)):
        print(f"{name:10}{ours[i]:14.6g}{exact[i]:14.6g}{100 * relative(ours[i], exact[i]):9.3f}%")
    print(f"q_big: worst layer {layer[0]:.1e} ({layer[1]}), worst step total {total[0]:.1e} (step {total[1]})")
    print(f"show: b_noise {shown['b_noise']} [{shown['b_noise_lo']} to {shown['b_noise_hi']}], s {shown['s']}, "
          f"coverage {shown['coverage']}, overhead {shown['overhead_pct']}%, warnings {shown['warnings']}")
    check(layer[0] <= args.q_within, f"q_big of {layer[1]} is off by {layer[0]:.1e}")
    check(total[0] <= args.q_within, f"q_big of step {total[1]} is off by {total[0]:.1e}")
    check(relative(ours[0], exact[0]) <= args.s_within, f"s is off by {relative(ours[0], exact[0]):.3%}")
    check(relative(ours[2], exact[2]) <= args.b_within, f"b_noise is off by {relative(ours[2], exact[2]):.3%}")
    check(shown["s"] is not None and relative(shown["s"], ours[0]) < 1e-9, f"show says s {shown['s']}, its rows say {ours[0]}")
    check(shown["b_noise"] is not None and relative(shown["b_noise"], ours[2]) < 1e-9,
          f"show says b_noise {shown['b_noise']}, its rows say {ours[2]}")


if __name__ == "__main__":
    run()
