"""What trainers do besides forward, backward, step. Each test says what it saw, or fails."""
import copy
import gc
import importlib
import os
import subprocess
import sys
import tempfile
import warnings
import weakref

import half_test as half
import mock
import models
import torch
from half_test import check, close, truth
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

TESTS = {}
V2 = int(torch.__version__.split(".")[0]) >= 2


def test(f):
    def guarded():
        g = mock.install(mock.Mock())
        torch.manual_seed(3)
        try:
            said = f(g)
            check(g.gave_up is None, f"gave up: {g.gave_up}")
            return said
        finally:
            mock.remove(g)
            gc.collect()
    TESTS[f.__name__.replace("_", " ")] = guarded
    return f


def net():
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4))


def batch(n=6):
    return torch.randn(n, 5), torch.randint(0, 4, (n,))


def losses(model, x, y):
    return F.cross_entropy(model(x), y, reduction="none")


def expect(got, want, n, within=1e-9, but=()):
    check(set(got) == set(want) - set(but), f"measured {sorted(got)}, expected {sorted(set(want) - set(but))}")
    for k, (samples, q_small, _) in got.items():
        check(samples == n, f"{samples} samples of {k}, there are {n}")
        check(close(q_small, want[k], within), f"{k}: {q_small}, truth {want[k]}, ratio {q_small / want[k]}")


def add(a, b, factor=1.0):
    return {k: a.get(k, 0.0) + factor * v for k, v in b.items()}


@test
def accumulation(g):
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(3):
        optimizer.zero_grad()
        want, total = {}, 0.0
        for micro in range(3):
            x, y = batch()
            want = add(want, truth(model, losses(model, x, y)), 1 / 9)
            loss = losses(model, x, y).mean() / 3
            loss.backward()
            total += float(loss)
        optimizer.step()
        expect(g.history[-1]["got"], want, 18)
        check(close(g.history[-1]["loss"], total, 1e-12) and g.history[-1]["micro_steps"] == 3, f"{g.history[-1]}")
    return "3 micro-steps of 6 are 18 samples"


@test
def zero_grad_both_ways(g):
    for keep in (True, False):
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            x, y = batch()
            want = truth(model, losses(model, x, y))
            optimizer.zero_grad(set_to_none=not keep)
            losses(model, x, y).mean().backward()
            optimizer.step()
            expect(g.history[-1]["got"], want, 6)
    return "set_to_none True and False"


@test
def gradients_left_from_before(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        losses(model, *batch()).mean().backward()
        optimizer.step()
    check(len(g.history[0]["got"]) == 4 and not g.history[1]["got"], f"{g.history}")
    check(g.counts == {"gradient_not_zeroed": 1}, f"{g.counts}")
    optimizer.zero_grad()
    losses(model, *batch()).mean().backward()
    optimizer.step()
    check(len(g.history[2]["got"]) == 4, "not measured again")
    return f"the step is not measured, {g.counts}"


@test
def closures(g):
    for make in (lambda p: torch.optim.SGD(p, lr=0.1), lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=4)):
        model = net()
        optimizer = make(model.parameters())
        x, y = batch()
        evaluations = []

        def closure():
            optimizer.zero_grad()
            loss = losses(model, x, y).mean()
            loss.backward()
            evaluations.append(float(loss))
            return loss

        for step in range(2):
            want = truth(model, losses(model, x, y))
            before = len(evaluations)
            optimizer.step(closure)
            expect(g.history[-1]["got"], want, 6)
            check(g.history[-1]["loss"] == evaluations[before], "the first evaluation's loss counts")
    return f"SGD and LBFGS, {len(evaluations)} evaluations in 2 steps"


@test
def two_optimizers(g):
    """A generator and its critic: the generator's step leaves gradients in the critic, which are zeroed and never stepped on."""
    class Maker(nn.Sequential):
        pass

    maker, critic = Maker(nn.Linear(3, 5)), nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 1))
    a, b = torch.optim.Adam(maker.parameters()), torch.optim.SGD(critic.parameters(), lr=0.1)
    for step in range(3):
        z, x = torch.randn(8, 3), torch.randn(8, 5)
        want = truth(maker, F.softplus(-critic(maker(z)))[:, 0])
        a.zero_grad()
        F.softplus(-critic(maker(z))).mean().backward()
        a.step()
        expect(g.history[-1]["got"], {"Maker." + k: v for k, v in want.items()}, 8)
        check(g.history[-1]["stream"] == 0, "not the first stream")
        fake = maker(z).detach()
        want = truth(critic, (F.softplus(-critic(x)) + F.softplus(critic(fake)))[:, 0])
        b.zero_grad()
        (F.softplus(-critic(x)) + F.softplus(critic(fake))).mean().backward()
        b.step()
        got = g.history[-1]["got"]
        check(g.history[-1]["stream"] == 1 and len(got) == 4, f"{g.history[-1]}")
        expect(got, {"Sequential." + k: v for k, v in want.items()}, 8)
    check(not g.counts, f"{g.counts}")
    return "each stream has its own steps and parameters"


@test
def one_model_two_optimizers(g):
    model = net()
    optimizers = [torch.optim.SGD(model[0].parameters(), lr=0.1), torch.optim.Adam(model[2].parameters())]
    for step in range(2):
        x, y = batch()
        want = truth(model, losses(model, x, y))
        for o in optimizers:
            o.zero_grad()
        losses(model, x, y).mean().backward()
        for o in optimizers:
            o.step()
        expect({**g.history[-2]["got"], **g.history[-1]["got"]}, want, 6)
        check([h["stream"] for h in g.history[-2:]] == [0, 1] and len(g.history[-1]["got"]) == 2, f"{g.history[-2:]}")
    return "two parameters each"


class Checked(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.lm = models.LM()
        self.reentrant = reentrant

    def forward(self, x):
        m = self.lm
        h = m.token(x) + m.position

        def block(h):
            h = h + m.attention(m.norm1(h))
            return h + m.fc2(F.gelu(m.fc1(m.norm2(h))))

        return m.head(m.norm3(checkpoint(block, h, use_reentrant=self.reentrant)))


def _checkpoint(g, reentrant):
    model = Checked(reentrant)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in range(3):
        x, y = models.tokens()(step)
        want = truth(model.lm, models.predict(model.lm, x, y))
        optimizer.zero_grad()
        models.predict(model, x, y).mean().backward()
        optimizer.step()
        expect({k.removeprefix("lm."): v for k, v in g.history[-1]["got"].items()}, want, 4)
        check(g.history[-1]["micro_steps"] == 1, f"{g.history[-1]['micro_steps']} micro-steps")
    check(not any(g.left.values()), f"{g.left}")
    return f"{len(want)} parameters"


@test
def checkpoint_reentrant(g):
    return _checkpoint(g, True)


@test
def checkpoint_not_reentrant(g):
    return _checkpoint(g, False)


@test
def checkpoint_of_convolutions(g):
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.PReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.Flatten(),
                          nn.Linear(6 * 49, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        x, y = models.images()(step)
        want = truth(model, losses(model, x, y))
        optimizer.zero_grad()
        F.cross_entropy(checkpoint(model, x, use_reentrant=False), y).backward()
        optimizer.step()
        expect(g.history[-1]["got"], want, 4)
    return f"{len(want)} parameters"


@test
def saved_on_cpu(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    counted = []
    for step in range(2):
        x, y = batch()
        want = truth(model, losses(model, x, y))
        optimizer.zero_grad()
        with torch.autograd.graph.save_on_cpu(), torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: (counted.append(1), t)[1]):
            loss = losses(model, x, y).mean()
        loss.backward()
        optimizer.step()
        expect(g.history[-1]["got"], want, 6)
    return f"{len(counted)} tensors unpacked by the engine alone"


@test
def scale_packed_away(g):
    """A factor that hooks have packed away may be the samples: it is no constant."""
    model = nn.ModuleDict({"layer": nn.Linear(5, 5)})
    model.scale = nn.Parameter(torch.randn(5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, z = torch.randn(6, 5), torch.randn(6, 5)

    def each():
        return (x * model.scale).mean(1) + model["layer"](z).tanh().sum(1)

    want = truth(model, each())
    optimizer.zero_grad()
    with torch.autograd.graph.save_on_cpu():
        loss = (x * model.scale).mean() + model["layer"](z).tanh().sum(1).mean()
    loss.backward()
    optimizer.step()
    left = {g.names[k]: r for k, r in g.left.items() if r}
    expect(g.history[-1]["got"], want, 6, but=left)
    check("layer.weight" not in left, f"left out {left}")
    return f"left out {left}"


@test
def unpacked_once(g):
    """As often with the collector as without."""
    def count():
        model, counted = net(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: (counted.append(tuple(t.shape)), t)[1]):
            loss = losses(model, *batch()).mean()
        loss.backward()
        optimizer.step()
        return counted
    with_it = count()
    check(len(g.history[-1]["got"]) == 4, f"{g.history[-1]}")
    mock.remove(g)
    g.gave_up = None
    check(with_it == count(), "the hooks were called otherwise")
    return f"{len(with_it)} tensors"


@test
def user_hooks(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[0].weight.register_hook(lambda grad: grad * 2)
    want = truth(model, losses(model, *batch()))
    if V2:
        model[2].bias.register_post_accumulate_grad_hook(lambda p: None)
    losses(model, *batch()).mean().backward()
    optimizer.step()
    left = {g.names[k]: r for k, r in g.left.items() if r}
    check(left == {"0.weight": "user_hook", **({"2.bias": "user_hook"} if V2 else {})}, f"{left}")
    check(set(g.history[-1]["got"]) == set(want) - set(left), f"{g.history[-1]}")
    return f"left out {left}"


@test
def activation_hooks(g):
    """A hook that changes an activation's gradient changes what reaches the parameters below, and that is what is measured."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()

    def hooked():
        h = model[1](model[0](x))
        h.register_hook(lambda grad: grad.clamp(-0.05, 0.05))
        return F.cross_entropy(model[2](h), y, reduction="none")

    optimizer.zero_grad()
    hooked().mean().backward()
    got = {k: p.grad.clone() for k, p in model.named_parameters()}
    optimizer.step()
    told = g.history[-1]["got"]
    check(len(told) == 4, f"{g.left}")
    for k, (_, _, q_big) in told.items():
        check(close(q_big, float(got[k].pow(2).sum()), 1e-12), k)
    return "measured"


@test
def one_graph_twice(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    each = losses(model, *batch())
    each.mean().backward(retain_graph=True)
    each.pow(2).mean().backward()
    optimizer.step()
    left = {g.names[k]: r for k, r in g.left.items() if r}
    check(not g.history[-1]["got"] and set(left.values()) == {"tied"}, f"{g.history[-1]} {left}")
    optimizer.zero_grad()
    losses(model, *batch()).mean().backward(retain_graph=True)
    optimizer.step()
    check(len(g.history[-1]["got"]) == 4, "a kept graph that is not used again is nothing special")
    return "the samples of both are the same: tied"


@test
def graph_of_gradients(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    want = truth(model, losses(model, x, y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        losses(model, x, y).mean().backward(create_graph=True)
    optimizer.step()
    expect(g.history[-1]["got"], want, 6)
    optimizer.zero_grad(set_to_none=True)
    return "create_graph"


@test
def gradient_penalty(g):
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(6, 5)

    def each():
        z = x.clone().requires_grad_()
        out = model(z)[:, 0]
        slope, = torch.autograd.grad(out.sum(), z, create_graph=True)
        return F.softplus(-out) + 10 * (slope.norm(dim=1) - 1) ** 2

    want = truth(model, each())
    optimizer.zero_grad()
    each().mean().backward()
    optimizer.step()
    left = {g.names[k]: r for k, r in g.left.items() if r}
    expect(g.history[-1]["got"], want, 6, but=left)
    return f"{len(g.history[-1]['got'])} measured, left out {left}"


@test
def only_some_inputs(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses(model, *batch()).mean().backward(inputs=[model[0].weight])
    optimizer.step()
    check(not g.history[-1]["got"], f"{g.history[-1]}")
    optimizer.zero_grad()
    losses(model, *batch()).mean().backward()
    optimizer.step()
    check(len(g.history[-1]["got"]) == 4, f"{g.history[-1]}")
    return "not measured; the next step is"


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, y):
        raise KeyError("the trainer's own")


@test
def an_exception_on_the_way(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    try:
        F.cross_entropy(model[2](Fails.apply(model[1](model[0](x)))), y).backward()
        check(False, "no error")
    except KeyError as e:
        check(e.args == ("the trainer's own",), repr(e))
    optimizer.zero_grad()
    want = truth(model, losses(model, x, y))
    losses(model, x, y).mean().backward()
    optimizer.step()
    expect(g.history[-1]["got"], want, 6)
    try:
        F.cross_entropy(model[2](Fails.apply(model[1](model[0](x)))), y).backward()
    except KeyError:
        pass
    optimizer.step()
    check(not g.history[-1]["got"], "half a gradient was measured")
    return "the next attempt is measured"


@test
def failing_step(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def closure():
        raise KeyError("closure")

    try:
        optimizer.step(closure)
        check(False, "no error")
    except KeyError:
        pass
    optimizer.zero_grad()
    losses(model, *batch()).mean().backward()
    optimizer.step()
    check(len(g.history[-1]["got"]) == 4, f"{g.history}")
    return "step() inside step() is not taken for one"


@test
def autocast(g):
    torch.set_default_dtype(torch.float32)
    model = models.LM(d=16)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in range(2):
        x, y = models.tokens()(step)
        want = truth(model, models.predict(model, x, y))
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = models.predict(model, x, y).mean()
        loss.backward()
        optimizer.step()
        expect(g.history[-1]["got"], want, 4, within=0.1)
    return f"{len(want)} parameters, bfloat16 within 10% of float32"


@test
def batch_norm(g):
    """The truth by weights of each sample's own: W expanded to n copies, of which sample i uses the i-th."""
    conv, norm, head = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3 * 9, 4)
    model = nn.Sequential(conv, norm, nn.ReLU(), nn.Flatten(), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        x, y = torch.randn(4, 2, 5, 5), torch.randint(0, 4, (4,))
        own = {k: p.detach().expand((4,) + p.shape).clone().requires_grad_() for k, p in model.named_parameters()}
        h = torch.cat([F.conv2d(x[i:i + 1], own["0.weight"][i], own["0.bias"][i]) for i in range(4)])
        h = F.batch_norm(h, None, None, training=True) * own["1.weight"][:, :, None, None] + own["1.bias"][:, :, None, None]
        h = torch.relu(h).flatten(1)
        out = torch.einsum("ni,noi->no", h, own["4.weight"]) + own["4.bias"]
        grads = torch.autograd.grad(F.cross_entropy(out, y), list(own.values()))
        want = {k: float(v.pow(2).sum()) for k, v in zip(own, grads)}
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        got = g.history[-1]["got"]
        # The convolution's bias goes out again in the mean: both are noise of 1e-17.
        expect({k: v for k, v in got.items() if k != "0.bias"}, {k: v for k, v in want.items() if k != "0.bias"}, 4)
    check((0, "batchnorm", "1") in g.events, f"{g.events}")
    return f"{len(got)} parameters"


@test
def nothing_is_kept(g):
    model = models.LM()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        kept = []
        x, y = models.tokens()(step)
        kept.append(weakref.ref(x))
        h = model(x)
        kept.append(weakref.ref(h))
        kept.append(weakref.ref(model.last)) if hasattr(model, "last") else None
        loss = F.cross_entropy(h.flatten(0, 1), y.flatten())
        kept.append(weakref.ref(loss))
        gc.collect()
        gc.disable()
        loss.backward()
        optimizer.step()
        kept += [weakref.ref(p.grad) for p in model.parameters()]
        del x, y, h, loss
        optimizer.zero_grad(set_to_none=True)
        alive = [r() for r in kept if r() is not None]
        gc.enable()
        check(not alive, f"{len(alive)} tensors live on")
    model_ref, optimizer_ref = weakref.ref(model), weakref.ref(optimizer)
    del model, optimizer
    gc.collect()
    check(model_ref() is None and optimizer_ref() is None, "the model or the optimizer lives on")
    check(not g.space["known"] and not g.space["streams"] and not g.space["waiting"], "entries of what is gone")
    return "no tensor, no model, no optimizer; without the garbage collector's help"


@test
def loss_scale(g):
    scalers = getattr(torch.amp, "GradScaler", None)
    if scalers is None:
        return "no GradScaler for the CPU here"
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = scalers("cpu", init_scale=1024.0)
    for step in range(3):
        x, y = batch()
        want = truth(model, losses(model, x, y))
        optimizer.zero_grad()
        loss = losses(model, x, y).mean()
        if step == 1:
            loss = loss * float("inf")
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        scaler.step(optimizer)
        scaler.update()
        if step != 1:
            expect(g.history[-1]["got"], want, 6)
            check(close(g.history[-1]["loss"], float(loss), 1e-12), "loss")
    check(len(g.history) == 2 and g.counts["skipped_steps"] == 1, f"{len(g.history)} steps, {g.counts}")
    check(g.settings[0, "loss_scale"] == 512.0 and g.settings[0, "max_norm"] == 1e-3, f"{g.settings}")
    return f"{g.counts}"


@test
def clipping(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for limit in (1e9, 1e-3):
        optimizer.zero_grad()
        losses(model, *batch()).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
        from torch.nn.utils.clip_grad import clip_grad_norm_
        clip_grad_norm_(list(model.parameters()), max_norm=limit)
        optimizer.step()
    check(g.counts == {"clipped_steps": 1}, f"{g.counts}")
    check((0, "clipping", "max_norm 0.001") in g.events, f"{g.events}")
    return f"{g.counts}"


@test
def written_after_zero_grad(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4):
        (model if step == 3 else optimizer).zero_grad(set_to_none=False)
        if step == 1:
            with torch.no_grad():
                model[0].weight.grad.add_(1.0)
        losses(model, *batch()).mean().backward()
        optimizer.step()
        check(("0.weight" in g.history[-1]["got"]) == (step != 1), f"step {step}: {sorted(g.history[-1]['got'])}")
    check(g.looked == 1, f"{g.looked} gradients were read to see whether they are zero, of one it was not known")
    return "that one is not measured"


@test
def settings(g):
    model = net()
    optimizer = torch.optim.AdamW([{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].parameters()}], lr=0.25,
                                  weight_decay=0.125)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    for step in range(2):
        optimizer.zero_grad()
        losses(model, *batch()).mean().backward()
        optimizer.step()
        scheduler.step()
    s = {k[1]: v for k, v in g.settings.items()}
    check(s["optimizer"] == "AdamW" and s["beta1"] == 0.9 and s["beta2"] == 0.999 and s["weight_decay"] == 0.125, f"{s}")
    check(s["lr.1"] == 0.125 and "weight_decay.1" not in s, f"{s}")
    check([h["lr"] for h in g.history] == [0.5, 0.25], f"{g.history}")
    return f"{len(s)} settings"


@test
def parameters_that_come_later(g):
    model, more = net(), nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    both = nn.Sequential(model, more)
    for step in range(3):
        if step == 1:
            optimizer.add_param_group({"params": more.parameters()})
        want = truth(both, losses(both, *batch()))
        optimizer.zero_grad()
        losses(both, *batch()).mean().backward()
        optimizer.step()
    check(set(g.history[-1]["got"]) == set(want), f"{sorted(g.history[-1]['got'])}, expected {sorted(want)}")
    return f"{len(want)} parameters, {sorted(want)[-1]}"


@test
def a_module_half_made(g):
    class Odd(nn.Module):
        def __init__(self):
            pass

    odd, model = Odd(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    want = truth(model, losses(model, *batch()))
    losses(model, *batch()).mean().backward()
    optimizer.step()
    check(set(g.history[-1]["got"]) == set(want), f"{g.history[-1]}")
    return f"{len(want)} names beside {type(odd).__name__}"


@test
def lazy_modules(g):
    model = nn.Sequential(nn.LazyLinear(7), nn.Tanh(), nn.LazyLinear(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            optimizer.zero_grad()
            losses(model, *batch()).mean().backward()
            optimizer.step()
    check(len(g.history[-1]["got"]) == 4, f"{g.history[-1]}")
    return "measured once they are what they will be"


@test
def packed_sequences(g):
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
    rnn, head = nn.GRU(5, 6, batch_first=True), nn.Linear(6, 4)
    model = nn.ModuleDict({"rnn": rnn, "head": head})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for lengths in ([4, 4, 4, 4], [4, 4, 3, 1], [4, 4, 4, 4], [4, 3, 3, 2]):
        x, y = torch.randn(4, 4, 5), torch.randint(0, 4, (4,))

        def each():
            out = rnn(pack_padded_sequence(x, torch.tensor(lengths), batch_first=True))[0]
            return F.cross_entropy(head(pad_packed_sequence(out, batch_first=True)[0].sum(1)), y, reduction="none")

        want = truth(model, each())
        optimizer.zero_grad()
        each().mean().backward()
        optimizer.step()
        left = {g.names[k]: r for k, r in g.left.items() if r}
        expect(g.history[-1]["got"], want, 4, but=left)
        check(set(left) == (set() if len(set(lengths)) == 1 else {k for k in want if "rnn" in k}), f"{lengths}: {left}")
    return f"of several lengths: {left}"


@test
def traced_meanwhile(g):
    import torch.fx
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        traced = torch.fx.symbolic_trace(model)
        want = truth(model, losses(model, *batch()))
        optimizer.zero_grad()
        losses(traced, *batch()).mean().backward()
        optimizer.step()
        check(len(g.history[-1]["got"]) == 4, f"{g.history[-1]}")
    g.on = False
    g.space["expect_first_call"]()
    model(torch.randn(3, 5))
    optimizer.zero_grad()
    losses(model, *batch()).mean().backward()
    g.space["forget_first_call"]()
    check(not nn.modules.module._global_forward_pre_hooks, "a hook is left")
    return "torch.fx calls modules with what is no tensor"


@test
def without_modules(g):
    w, b = torch.randn(5, 4, requires_grad=True), torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=0.1)
    for step in range(2):
        x, y = batch()
        each = F.cross_entropy(x @ w + b, y, reduction="none")
        want = dict.fromkeys(("group0.0", "group0.1"), 0.0)
        for i in range(6):
            for k, grad in zip(want, torch.autograd.grad(each[i] / 6, (w, b), retain_graph=True)):
                want[k] += float(grad.pow(2).sum())
        optimizer.zero_grad()
        F.cross_entropy(x @ w + b, y).backward()
        optimizer.step()
        expect(g.history[-1]["got"], want, 6)
    return "named by their places in the optimizer"


@test
def inputs_by_name(g):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, batch=None, scale=1.0):
            return self.net(batch["x"].flatten(0, 1)) * scale

    model = Named()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        x, y = torch.randn(3, 2, 5), torch.randint(0, 4, (6,))
        each = F.cross_entropy(model(batch={"x": x}), y, reduction="none").view(3, 2).mean(1)
        want = truth(model, each)
        optimizer.zero_grad()
        F.cross_entropy(model(batch={"x": x}), y, reduction="none").view(3, 2).mean(1).mean().backward()
        optimizer.step()
        expect(g.history[-1]["got"], want, 3)
    return "two rows a sample"


@test
def frozen_teacher_first(g):
    teacher, model = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        teacher(torch.randn(3, 5))
    model.eval()
    with torch.no_grad():
        model(torch.randn(2, 5))
    x, y = batch()
    want = truth(model, losses(model, x, y))
    optimizer.zero_grad()
    losses(model, x, y).mean().backward()
    optimizer.step()
    expect(g.history[-1]["got"], want, 6)
    return "6 samples"


@test
def made_anew(g):
    """Another optimizer over the same weights, while the first is alive: they are the newest one's, or the one's that steps."""
    model = net()
    unused, first = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    x, y = batch()

    def step(optimizer):
        want = truth(model, losses(model, x, y))
        optimizer.zero_grad()
        losses(model, x, y).mean().backward()
        optimizer.step()
        return want
    want = step(first)
    expect(g.history[-1]["got"], want, 6)
    second = torch.optim.Adam(model.parameters(), lr=0.1)
    want = step(second)
    expect(g.history[-1]["got"], want, 6)
    step(first)
    want = step(first)
    expect(g.history[-1]["got"], want, 6)
    check(len(g.streams) == 2, f"{len(g.streams)} streams")
    del unused
    return "the unused one is no stream"


@test
def told_losses(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    g.every = 3
    want = []
    for step in range(6):
        optimizer.zero_grad()
        loss = losses(model, x, y).mean()
        want.append(loss.item())
        loss.backward()
        optimizer.step()
    got = [h["loss"] for h in g.history]
    check(got == want, f"{got} instead of {want}")
    return "of every step, measured or not"


@test
def several_roots(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    want = truth(model, losses(model, x, y) * 1.5)
    a = losses(model, x, y).mean()
    torch.autograd.backward([a, a * 0.5])
    optimizer.step()
    expect(g.history[-1]["got"], want, 6)
    check(close(g.history[-1]["loss"], 1.5 * float(a), 1e-12), "loss")
    return "two roots"


@test
def a_fault_of_ours(g):
    g.loud = False
    model, plain = net(), None
    plain = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    g.uses = g.linear = g.reduce = lambda *a: 1 // 0
    x, y = batch()
    losses(model, x, y).mean().backward()
    optimizer.step()
    check(not g.history[-1]["got"], f"{g.history[-1]}")
    g.measuring = lambda s: 1 // 0
    optimizer.zero_grad()
    losses(model, x, y).mean().backward()
    optimizer.step()
    check("ZeroDivision" in str(g.gave_up), f"{g.gave_up}")
    g.gave_up = None
    return "left out, then gave up; the trainer has not noticed"


@test
def steps_not_measured(g):
    g.every = 3
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(7):
        calls = g.calls
        optimizer.zero_grad()
        for micro in range(2):
            losses(model, *batch()).mean().backward()
        optimizer.step()
        check((g.calls > calls) == (step % 3 == 0), f"step {step}: {g.calls - calls} calls")
    check([bool(h["got"]) for h in g.history] == [True, False, False] * 2 + [True], f"{g.history}")
    check([h["micro_steps"] for h in g.history] == [2] * 7, f"{g.history}")
    return "every third"


@test
def deep_copies(g):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses(model, *batch()).mean().backward()
    optimizer.step()
    other, second = copy.deepcopy((model, optimizer))
    second.zero_grad()
    losses(other, *batch()).mean().backward()
    second.step()
    check(g.history[-1]["stream"] == 1, "an optimizer that never was made is met at its first step")
    second.zero_grad()
    losses(other, *batch()).mean().backward()
    second.step()
    check(len(g.history[-1]["got"]) == 4, f"{g.history[-1]}")
    return "measured from its second step"


@test
def own_optimizer(g):
    class Mine(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    class Bare(torch.optim.Optimizer):
        def __init__(self, params):
            torch.optim.Optimizer.__init__(self, params, {"lr": 0.1})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(group["lr"] * p.grad)

    for make in (lambda p: torch.optim.SGD(p, lr=0.1), lambda p: Mine(p, lr=0.1), Bare):
        model = net()
        optimizer = make(model.parameters())
        before = len(g.history)
        for step in range(2):
            optimizer.zero_grad()
            losses(model, *batch()).mean().backward()
            optimizer.step()
        check(len(g.history) == before + 2 and len(g.history[-1]["got"]) == 4, f"{g.history}")
    return "step() of a subclass is one step"


@test
def pairs_inside_of_a_checkpoint(g):
    """Whose a row is cannot be told outside, so it cannot inside."""
    first, second, head = nn.Linear(5, 7), nn.Linear(7, 7), nn.Linear(7, 4)
    model = nn.Sequential(first, second, head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        x = torch.randn(12, 5)
        optimizer.zero_grad()
        out = head(checkpoint(lambda h: second(h).tanh(), first(x), use_reentrant=True))
        (out[:6] * out[6:]).sum(1).sigmoid().mean().backward()
        optimizer.step()
        check(not g.history[-1]["got"], f"measured {sorted(g.history[-1]['got'])}")
    left = {g.names[k]: r for k, r in g.left.items()}
    check(set(left.values()) == {"samples"}, f"left out {left}")
    return "left out inside as outside"


@test
def a_layer_inside_and_outside_of_a_checkpoint(g):
    first, second, head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 4)
    model = nn.ModuleList([first, second, head])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()

    def each():
        h = first(x).tanh()
        h = checkpoint(lambda h: second(first(h)).tanh(), h, use_reentrant=True)
        h = checkpoint(lambda h: second(h).tanh(), h, use_reentrant=True)
        return F.cross_entropy(head(h), y, reduction="none")

    each().mean().backward()
    optimizer.step()
    left = {g.names[k]: r for k, r in g.left.items() if r}
    check(left == dict.fromkeys(("0.weight", "0.bias", "1.weight", "1.bias"), "tied"), f"{left}")
    check(set(g.history[-1]["got"]) == {"2.weight", "2.bias"}, f"{g.history[-1]}")
    return f"{left}"


@test
def compiled(g):
    if not hasattr(torch, "compile"):
        return "no torch.compile here"
    torch.set_default_dtype(torch.float32)
    try:
        importlib.import_module("torch._dynamo").reset()
    except Exception as e:
        return f"torch.compile does not work here: {e}"
    for backend in ("eager", "aot_eager"):
        plain = nn.Sequential(net(), nn.Linear(4, 4))
        model = nn.Sequential(torch.compile(plain[0], backend=backend), plain[1])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            x, y = batch()
            want = truth(plain, losses(plain, x, y))
            optimizer.zero_grad()
            losses(model, x, y).mean().backward()
            optimizer.step()
            left = {g.names[k]: r for k, r in g.left.items() if r}
            expect(g.history[-1]["got"], want, 6, within=1e-4, but=left)
        check(backend == "eager" and not left or set(left.values()) == {"compiled"}, f"{backend}: {left}")
        torch._dynamo.reset()
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    frames = []
    count = torch.compile(lambda x: (frames.append(1), model(x))[1], backend="eager")
    for step in range(3):
        optimizer.zero_grad()
        F.cross_entropy(count(torch.randn(6, 5)), torch.randint(0, 4, (6,))).backward()
        optimizer.step()
    check(len(g.history[-1]["got"]) == 4, f"{g.history[-1]} {g.left}")
    torch._dynamo.reset()
    return f"left out {left}"


@test
def replicas(g):
    """Two processes: each tells of its own samples, and of the gradient that both have."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        return "no gloo here"
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "replica.py")]
        procs = [subprocess.Popen(words + [str(r), os.path.join(folder, "meet")], stderr=subprocess.PIPE, text=True) for r in range(2)]
        said = [p.communicate(timeout=300)[1] for p in procs]
    check(not any(p.returncode for p in procs), "\n".join(said))
    return "DistributedDataParallel of 2, with no_sync()"
