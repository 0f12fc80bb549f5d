#!/usr/bin/python3
"""Programs that use PyTorch in ways that a profiler may trip over, each by name: peculiar.py NAME. Their output is the same every time."""
import hashlib
import os
import pickle
import signal
import sys
import threading
import warnings

import torch
from torch import nn
from torch.nn import functional as F

STEPS = 12


def digest(*tensors):
    h = hashlib.sha256()
    for t in tensors:
        h.update(t.detach().contiguous().numpy().tobytes())
    return h.hexdigest()[:16]


def make(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 4))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def data(seed=0, n=32):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 16, generator=g), torch.randint(4, (n,), generator=g)


def train(model, optimizer, steps=STEPS, before=lambda step: None):
    for step in range(steps):
        x, y = data(step)
        optimizer.zero_grad()
        before(step)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return digest(*model.parameters())


def say(*words):
    print(*words, flush=True)


# Never train: no run, no file.

def only_import():
    say(torch.ones(3).sum().item())


def only_infer():
    model, _ = torch.nn.Linear(4, 4), None
    with torch.no_grad():
        say(tuple(model(torch.ones(2, 4)).shape))


def only_optimizer():
    make()
    say("made")


# Train, each in its own way.

def plain():
    say(train(*make()))


def spawned():
    children("spawn")


def forked():
    torch.set_num_threads(1)
    children("fork")


def child(seed, queue):
    torch.set_num_threads(1)
    queue.put((seed, train(*make(seed))))


def children(how):
    import torch.multiprocessing as mp
    context = mp.get_context(how)
    queue = context.SimpleQueue()
    all_of = [context.Process(target=child, args=(seed, queue)) for seed in range(2)]
    for p in all_of:
        p.start()
    for p in all_of:
        p.join()
    say(sorted(queue.get() for _ in all_of), [p.exitcode for p in all_of])


def forked_in_training():
    """The parent trains before and after it forks children that train too."""
    torch.set_num_threads(1)
    model, optimizer = make()
    train(model, optimizer)
    children("fork")
    say(train(model, optimizer))


def loader():
    from torch.utils.data import DataLoader, TensorDataset
    model, optimizer = make()
    g = torch.Generator().manual_seed(0)
    loaded = DataLoader(TensorDataset(*data(n=128)), batch_size=32, shuffle=True, generator=g, num_workers=2, persistent_workers=True)
    for _ in range(3):
        for x, y in loaded:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    say(digest(*model.parameters()))


def threads():
    """Two models in two threads."""
    torch.set_num_threads(1)
    made, out = [make(seed) for seed in (0, 1)], {}
    both = [threading.Thread(target=lambda i=i, m=m: out.__setitem__(i, train(*m))) for i, m in enumerate(made)]
    for t in both:
        t.start()
    for t in both:
        t.join()
    say(sorted(out.items()))


def penalty():
    """A gradient penalty: a backward pass through a backward pass."""
    model, optimizer = make()
    for step in range(STEPS):
        x, y = data(step)
        x.requires_grad_()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        slope, = torch.autograd.grad(loss, x, create_graph=True)
        (loss + slope.square().sum()).backward()
        optimizer.step()
    say(digest(*model.parameters()))


def kept_graph():
    """Two backward passes over one graph, which is kept."""
    model, optimizer = make()
    for step in range(STEPS):
        x, y = data(step)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward(retain_graph=True)
        (0.5 * loss).backward()
        optimizer.step()
    say(digest(*model.parameters()))


def anomaly():
    with torch.autograd.set_detect_anomaly(True):
        say(train(*make()))


def no_zeroing():
    model, optimizer = make()
    for step in range(STEPS):
        x, y = data(step)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    say(digest(*model.parameters()))


def groups():
    """A group of parameters that comes later, a learning rate that falls, a parameter replaced."""
    torch.manual_seed(0)
    body, head = nn.Linear(16, 32), nn.Linear(32, 4)
    model = nn.Sequential(body, nn.Tanh(), head)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    train(model, optimizer)
    optimizer.add_param_group({"params": body.parameters(), "lr": 0.003})
    for _ in range(3):
        train(model, optimizer, 3)
        schedule.step()
    say(digest(*model.parameters()))


def replaced():
    """A new optimizer and a new model, again and again."""
    for seed in range(4):
        say(train(*make(seed)))


def remade():
    """A new optimizer over the same model, as after a checkpoint is loaded or a layer unfrozen; the old one is kept."""
    model, optimizer = make()
    train(model, optimizer)
    again = torch.optim.Adam(model.parameters(), lr=0.01)
    say(train(model, again), len(optimizer.state))


def every_optimizer():
    """Each class of torch.optim once."""
    for name, kind in sorted(vars(torch.optim).items()):
        if not isinstance(kind, type) or not issubclass(kind, torch.optim.Optimizer) or name in ("Optimizer", "SparseAdam", "LBFGS"):
            continue
        model, _ = nn.Linear(16, 4), torch.manual_seed(0)
        nn.init.constant_(model.weight, 0.1), nn.init.zeros_(model.bias)
        params = [model.weight] if name == "Muon" else model.parameters()
        say(name, train(model, kind(params, lr=0.01)))


def lbfgs():
    model, _ = make()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=5)
    x, y = data()

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss
    for _ in range(6):
        optimizer.step(closure)
    say(digest(*model.parameters()))


def saved():
    """What a checkpoint holds is what it holds without us, and an optimizer can be copied and pickled."""
    import copy
    import io
    model, optimizer = make()
    train(model, optimizer)
    out = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, out)
    again = pickle.loads(pickle.dumps(optimizer))
    say(hashlib.sha256(pickle.dumps(optimizer.state_dict()["param_groups"])).hexdigest()[:16], len(out.getvalue()), sorted(vars(model)))
    other = copy.deepcopy(model)
    say(train(other, torch.optim.SGD(other.parameters(), lr=0.1)), type(again).__name__, train(model, optimizer))


def no_warnings():
    warnings.simplefilter("error")
    say(train(*make()))


def sparse():
    torch.manual_seed(0)
    table = nn.Embedding(50, 16, sparse=True)
    model = nn.Sequential(nn.Linear(16, 4))
    one, two = torch.optim.SparseAdam(table.parameters(), lr=0.01), torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(STEPS):
        g = torch.Generator().manual_seed(step)
        ids, y = torch.randint(50, (32,), generator=g), torch.randint(4, (32,), generator=g)
        one.zero_grad(), two.zero_grad()
        F.cross_entropy(model(table(ids)), y).backward()
        one.step(), two.step()
    say(digest(*model.parameters(), *table.parameters()))


def profiled():
    model, optimizer = make()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as p:
        train(model, optimizer)
    say(digest(*model.parameters()), len(p.key_averages()) > 5)


def scripted():
    model, _ = make()
    model = torch.jit.script(model)
    say(train(model, torch.optim.Adam(model.parameters(), lr=0.01)))


def own_function():
    """A parameter in an operation of the user's own."""
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx, y):
            x, w = ctx.saved_tensors
            return y * w, (y * x).sum(0)
    model, _ = make()
    w = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([*model.parameters(), w], lr=0.1)
    for step in range(STEPS):
        x, y = data(step)
        optimizer.zero_grad()
        F.cross_entropy(Scale.apply(model(x), w), y).backward()
        optimizer.step()
    say(digest(*model.parameters(), w))


def changing_batch():
    model, optimizer = make()
    for step in range(STEPS):
        x, y = data(step, 8 + 5 * (step % 3))
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    say(digest(*model.parameters()))


# End in mid-step; the traceback is the same as without us.

def raises_in_forward():
    def before(step):
        if step == 5:
            raise ValueError("in the forward pass")
    train(*make(), before=before)


def raises_in_backward():
    model, optimizer = make()
    count = []

    def hook(grad):
        count.append(1)
        if len(count) == 6:
            raise ValueError("in the backward pass")
    model[0].register_forward_hook(lambda m, i, out: out.register_hook(hook) and None)
    train(model, optimizer)


def raises_in_shapes():
    model, optimizer = make()
    train(model, optimizer)
    F.cross_entropy(model(torch.ones(3, 16)), torch.zeros(3, dtype=torch.int64)).sum().expand(2).backward()


def raises_in_step():
    model, optimizer = make()
    train(model, optimizer, 5)
    optimizer.param_groups[0]["momentum"] = "much"
    train(model, optimizer)


def raises_in_closure():
    model, optimizer = make()
    train(model, optimizer, 5)

    def closure():
        raise ValueError("in the closure")
    optimizer.step(closure)


def raises_and_goes_on():
    """An out-of-memory handler's habit: the step is thrown away and the training goes on."""
    model, optimizer = make()

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, y):
            raise RuntimeError("out of memory")
    for step in range(STEPS):
        x, y = data(step)
        optimizer.zero_grad()
        try:
            h = model(x)
            F.cross_entropy(Fails.apply(h) if step == 5 else h, y).backward()
        except RuntimeError as e:
            say(step, e)
            continue
        optimizer.step()
    say(digest(*model.parameters()))


def bad_optimizer():
    torch.optim.SGD([], lr=0.1)


def interrupted():
    def before(step):
        if step == 5:
            signal.raise_signal(signal.SIGINT)
    train(*make(), before=before)


def interrupted_in_backward():
    model, optimizer = make()
    count = []

    def hook(grad):
        count.append(1)
        if len(count) == 6:
            os.kill(os.getpid(), signal.SIGINT)
    model[0].register_forward_hook(lambda m, i, out: out.register_hook(hook) and None)
    train(model, optimizer)


def exits():
    def before(step):
        if step == 5:
            sys.exit(7)
    train(*make(), before=before)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
