#!/usr/bin/python3
"""Steps that nobody measures: none of our Python functions runs in them, and what the store holds of them is true or absent.

usage: unmeasured_test.py [--build FOLDER]. The training program below counts, by sys.setprofile, the calls of functions whose file is
"<gnscope>/...", in all steps but the first, which is measured."""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, EVERY = 40, 1000000
CASES = ("plain", "accumulated", "closure", "clipped", "scheduled", "grouped")
MICRO = {"accumulated": 3}


def check(true, why):
    if not true:
        raise AssertionError(why)


def program(case, file):
    import torch
    from torch.nn import functional as F
    torch.manual_seed(1)
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    late = torch.nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.5) if case == "scheduled" else None
    called, told = [], []

    def look(frame, event, arg):
        if event == "call" and frame.f_code.co_filename.startswith("<gnscope>"):
            called.append(frame.f_code.co_name)

    def passes():
        optimizer.zero_grad()
        total = 0.0
        for _ in range(MICRO.get(case, 1)):
            h = model[1](model[0](torch.randn(8, 6)))
            loss = F.cross_entropy(model[2](h) + (late(h) if case == "grouped" else 0), torch.randint(0, 3, (8,)))
            loss.backward()
            total += loss.item()
        return total

    for step in range(STEPS):
        if case == "grouped" and step == STEPS // 2:
            optimizer.add_param_group({"params": late.parameters(), "lr": 0.25})
        sys.setprofile(look if step and not (case == "grouped" and step == STEPS // 2) else None)
        if case == "closure":
            found = []
            optimizer.step(lambda: found.append(passes()))
            loss = found[0]
        else:
            loss = passes()
            if case == "clipped":
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3 if step != 2 else 1e9)
            optimizer.step()
        told.append((loss, optimizer.param_groups[0]["lr"]))
        if scheduler:
            scheduler.step()
        sys.setprofile(None)
    with open(file, "w") as f:
        json.dump({"called": called, "told": told}, f)


def run(args, case, folder, **env):
    file, store = os.path.join(folder, case + ".json"), os.path.join(folder, case + ".db")
    plain = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
    done = subprocess.run([os.path.join(args.build, "bin", "gnscope"), "run", "--no-top", "--store", store, "--every", str(EVERY), "--",
                           args.python, os.path.abspath(__file__), "--case", case, "--file", file],
                          env={**plain, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0, f"{case}: exit status {done.returncode}\n{done.stdout}")
    with open(file) as f:
        got = json.load(f)
    base = sqlite3.connect(store)
    off = base.execute("SELECT text FROM event WHERE name = 'torch_off'").fetchall()
    check(not off, f"{case}: the collector gave up: {off}")
    rows = base.execute("SELECT loss, lr, micro_steps FROM step ORDER BY step").fetchall()
    check(len(rows) == STEPS, f"{case}: {len(rows)} steps are stored, {STEPS} were made")
    return got, rows, base


def one(args, case, folder):
    got, rows, base = run(args, case, folder)
    check(not got["called"], f"{case}: Python ran in unmeasured steps: {sorted(set(got['called']))}")
    for step, ((loss, lr), (stored, rate, micro)) in enumerate(zip(got["told"], rows)):
        check(micro == MICRO.get(case, 1), f"{case}: {micro} micro-steps in step {step + 1}")
        check(stored is None or abs(stored - loss) <= 1e-9 * abs(loss), f"{case}: loss {stored} in step {step + 1}, it is {loss}")
        check(rate is None or rate == lr, f"{case}: learning rate {rate} in step {step + 1}, it is {lr}")
    check(rows[0][0] is not None and rows[0][1] is not None, f"{case}: the measured step has loss and learning rate")
    if case == "clipped":
        n = base.execute("SELECT max(value) FROM collector WHERE name = 'clipped_steps'").fetchone()[0]
        check(n == STEPS - 1, f"{n} clipped steps, there were {STEPS - 1}")


def every_loss(args, folder):
    got, rows, _ = run(args, "accumulated", folder, GNSCOPE_LOSSES="every")
    for step, ((loss, lr), (stored, rate, _)) in enumerate(zip(got["told"], rows)):
        check(stored is not None and abs(stored - loss) <= 1e-9 * abs(loss), f"loss {stored} in step {step + 1}, it is {loss}")
        check(rate == lr, f"learning rate {rate} in step {step + 1}, it is {lr}")


def main(args):
    with tempfile.TemporaryDirectory(prefix="gnscope-torch-") as folder:
        for case in CASES:
            one(args, case, folder)
        os.remove(os.path.join(folder, "accumulated.db"))
        every_loss(args, folder)
    print(f"{len(CASES)} programs of {STEPS} steps: no Python of ours in an unmeasured one")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
    p.add_argument("--python", default=sys.executable)
    p.add_argument("--case")
    p.add_argument("--file")
    a = p.parse_args()
    if a.case:
        program(a.case, a.file)
    else:
        main(a)
