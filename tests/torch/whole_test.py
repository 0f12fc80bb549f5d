#!/usr/bin/python3
"""The whole PyTorch collector, both halves, on every model of models.py: what the run database holds against the same truth.

usage: whole_test.py [--build FOLDER] [part of a model's name]... Eight models to a process, since it keeps as many streams."""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
STREAMS = 8
# A sketch of few samples; of the shapes here most parameters are measured exactly, which is checked on the whole.
SKETCHED, EXACT, EXACT_SHARE = 0.6, 1e-5, 0.9


def check(true, why):
    if not true:
        raise AssertionError(why)


def trainer(file, names):
    """Trains each model for a few steps; writes [model, samples, {parameter: [sum of |A_i|^2, |gradient|^2]}] of every step."""
    import half_test
    import models
    import torch
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    kept, told = [], []
    for name in names:
        case = models.CASES[name]
        model, batches = half_test.build(case)
        optimizer = case.optimizer(model)
        kept.append((model, optimizer))
        for batch in batches:
            want = half_test.truth(model, case.losses(model, *batch))
            optimizer.zero_grad()
            case.losses(model, *batch).mean().backward()
            grads = {k: None if p.grad is None else p.grad.to_dense() if p.grad.is_sparse else p.grad for k, p in model.named_parameters() if p.requires_grad}
            big = {k: 0.0 if v is None else float(v.double().pow(2).sum()) for k, v in grads.items()}
            told.append((name, len(batch[0]), {k: (want.get(k, 0.0), v) for k, v in big.items()}))
            optimizer.step()
    with open(file, "w") as f:
        json.dump({"steps": told, "left": {n: models.CASES[n].left for n in names}}, f)


def compare(told, store):
    """The relative errors of q_small. Parameters are registered in the order of the models and of their parameters."""
    base = sqlite3.connect(store)
    base.row_factory = sqlite3.Row
    params = {r["param_id"]: r for r in base.execute("SELECT * FROM param")}
    off = base.execute("SELECT text FROM event WHERE name = 'torch_off'").fetchall()
    check(not off, f"the collector gave up: {[r['text'] for r in off]}")
    order, ids, steps, errors = iter(sorted(params)), {}, {}, []
    for name, n, parameters in told["steps"]:
        of = ids.setdefault(name, None) or dict(zip(parameters, order))
        ids[name] = of
        step = steps[name] = steps.get(name, -1) + 1
        for k, (want, big) in parameters.items():
            rows = base.execute("SELECT * FROM grad WHERE param_id = ? ORDER BY step", (of[k],)).fetchall()
            why = params[of[k]]["left_out"] or ""
            check(why == told["left"][name].get(k, ""), f"{name}: {k} is left out for '{why}', expected {told['left'][name]}")
            if why:
                check(not rows, f"{name}: {k} is left out and has numbers")
                continue
            got = rows[step]
            check(got["n_big"] == n, f"{name}: {got['n_big']} samples of {k}, there are {n}")
            check(abs(got["q_big"] - big) <= 1e-6 * big, f"{name}: |gradient|^2 of {k} {got['q_big']}, it is {big}")
            if want > 1e-25:  # less is rounding: a bias before a normalisation
                errors.append((abs(got["q_small"] / (n * want) - 1), name, k))
    return errors


def main(args):
    listed = subprocess.run([sys.executable, "-c", "import models; print('\\n'.join(k for k, c in models.CASES.items() if not c.samples))"], cwd=HERE, stdout=subprocess.PIPE,
                            text=True, check=True).stdout.split("\n")[:-1]
    names = [n for n in listed if not args.words or any(w in n for w in args.words)]
    errors = []
    env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
    for i in range(0, len(names), STREAMS):
        with tempfile.TemporaryDirectory(prefix="gnscope-torch-") as folder:
            file, store = os.path.join(folder, "told.json"), os.path.join(folder, "run.db")
            command = [os.path.join(args.build, "bin", "gnscope"), "run", "--store", store, "--every", "1", "--", sys.executable,
                       os.path.abspath(__file__), "--train", file, *names[i:i + STREAMS]]
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            check(done.returncode == 0, f"{names[i:i + STREAMS]}: exit status {done.returncode}\n{done.stdout}")
            with open(file) as f:
                errors += compare(json.load(f), store)
    worst, exact = max(errors), sum(e[0] <= EXACT for e in errors)
    check(worst[0] <= SKETCHED, f"{worst[1]}: q_small of {worst[2]} is off by {worst[0]:.2f}")
    check(exact >= EXACT_SHARE * len(errors), f"only {exact} of {len(errors)} are exact")
    print(f"{len(names)} models, {len(errors)} times a parameter: {exact} exact, the worst sketch off by {worst[0]:.2f} "
          f"({worst[1]}, {worst[2]})")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
    p.add_argument("--train", metavar="FILE")
    p.add_argument("words", nargs="*")
    a = p.parse_args()
    sys.path.insert(0, HERE)
    if a.train:
        trainer(a.train, a.words)
    else:
        main(a)
