#!/usr/bin/python3
"""The Python half of the PyTorch collector against a truth of its own: per-sample gradients by backward passes of one sample each.

Without the C half: tests/torch/mock.py computes what it is handed by brute force. So what is tested is that the right operands
are handed over, of the right parameter and samples, that the trainer's numbers stay as they were, and that nothing is kept."""
import gc
import sys
import warnings
import weakref

import mock
import models
import torch

STEPS = 3


def check(true, why):
    if not true:
        raise AssertionError(why)


def truth(model, losses):
    """name -> sum over samples of |A_i|^2, for the mean loss."""
    named = [(k, p) for k, p in model.named_parameters() if p.requires_grad]
    found = dict.fromkeys((k for k, _ in named), 0.0)
    for i in range(len(losses)):
        grads = torch.autograd.grad(losses[i] / len(losses), [p for _, p in named], retain_graph=True, allow_unused=True)
        for (k, _), g in zip(named, grads):
            if g is not None:
                found[k] += float((g.to_dense() if g.is_sparse else g).double().pow(2).sum())
    return found


def close(a, b, within):
    return abs(a - b) <= within * max(abs(a), abs(b)) + 1e-300


def build(case):
    torch.manual_seed(1)
    model = case.make()
    torch.manual_seed(2)
    batches = [case.batch(i) for i in range(STEPS)]
    with torch.no_grad():
        case.losses(model, *batches[0])  # lazy layers become what they are
    return model, batches


def train(case, look=None):
    model, batches = build(case)
    optimizer = case.optimizer(model)
    for step, batch in enumerate(batches):
        want = truth(model, case.losses(model, *batch)) if look else None
        optimizer.zero_grad()
        loss = case.losses(model, *batch).mean()
        loss.backward()
        if look:
            q_big = {k: 0.0 if p.grad is None else float((p.grad.to_dense() if p.grad.is_sparse else p.grad).double().pow(2).sum())
                     for k, p in model.named_parameters()}
        optimizer.step()
        if look:
            look(step, want, q_big, float(loss), batch)
    return model


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))


def compare(name, case, g):
    def look(step, want, q_big, loss, batch):
        check(len(g.history) == step + 1, f"{name}: {len(g.history)} steps told after {step + 1}")
        told = g.history[-1]
        n = len(batch[0])
        check(close(told["loss"], loss, 1e-12), f"{name}: loss {told['loss']}, it is {loss}")
        check(told["micro_steps"] == 1, f"{name}: {told['micro_steps']} micro-steps")
        left = {g.names[k]: r for k, r in g.left.items() if r}
        check(left == case.left, f"{name}, step {step}: left out {left}, expected {case.left}; {g.events}")
        check(set(told["got"]) == set(want) - set(case.left), f"{name}: {set(told['got']) ^ (set(want) - set(case.left))}")
        for k, (samples, q_small, big) in told["got"].items():
            check(samples == n, f"{name}: {samples} samples, there are {n}")
            check(close(q_small, want[k], case.tolerance), f"{name}: {k} {q_small}, truth {want[k]}: {q_small / want[k]}")
            check(close(big, q_big[k], 1e-12), f"{name}: |.grad|^2 of {k} {big}, it is {q_big[k]}")
    return look


def one(name, case):
    torch.set_default_dtype(torch.float64)
    plain = train(case)
    g = mock.install(mock.Mock(samples=case.samples))
    try:
        model = train(case, compare(name, case, g))
        check(g.gave_up is None, f"{name}: gave up: {g.gave_up}")
        check(same(plain, model), f"{name}: the weights are not the same without the collector")
    finally:
        mock.remove(g)
    gc.collect()
    return len(g.history[-1]["got"])


def main(words):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    bad = 0
    import situations
    for name, case in models.CASES.items():
        if words and not any(w in name for w in words):
            continue
        try:
            print(f"{name}: {one(name, case)} parameters as they are")
        except Exception as e:
            if words:
                raise
            bad += 1
            print(f"{name}: {type(e).__name__} {e}")
    for name, test in situations.TESTS.items():
        if words and not any(w in name for w in words):
            continue
        torch.set_default_dtype(torch.float64)
        try:
            print(f"{name}: {test()}")
        except Exception as e:
            if words:
                raise
            bad += 1
            print(f"{name}: {type(e).__name__} {e}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
