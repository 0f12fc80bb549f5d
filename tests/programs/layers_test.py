"""The per-sample kernels against PyTorch: every sample's gradient by autograd in double precision, one backward a sample.

    layers_test.py LIBRARY

Exact forms agree to rounding; sketches agree in the mean over many seeds."""
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from layers_driver import CODES, Samples, conv, embedding, gain, lib, linear, reduce, tensor

failures = []


def report(name, got, want, within, unit=""):
    ok = abs(got - want) <= within
    if not ok:
        failures.append(name)
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {got:.9g}, autograd {want:.9g}, within {within:.3g}{unit}")


def exact(name, got, want, relative=2e-6):
    report(name, got, want, relative * abs(want))


def sketched(name, draw, n, want, seeds=300, axis=0, most=0.2):
    """Mean over seeds within 4 standard errors, and one call's spread at most `most` of it."""
    values = torch.tensor([draw(Samples(n, axis, 8, seed, 3)) for seed in range(seeds)], dtype=torch.float64)
    spread = values.std().item()
    report(name, values.mean().item(), want, 4 * spread / math.sqrt(seeds) + 2e-6 * want, f", spread of one {spread / want:.2%}")
    if spread > most * want:
        failures.append(name)
        print(f"FAIL {name}: the spread of one estimate is more than {most:.0%}")


def per_sample(parameter, outputs, weights, n, axis=0):
    """Sum over samples of |gradient of (outputs * weights) of the sample|^2. outputs: a function of nothing, in double."""
    total = 0.0
    for i in range(n):
        out = outputs()
        loss = sum((o.select(axis, i) * w.double().select(axis, i)).sum() for o, w in zip(out, weights))
        (g,) = torch.autograd.grad(loss, parameter)
        total += g.pow(2).sum().item()
    return total


def module_truth(module, x, w, n, axis=0, which="weight"):
    double = type(module).__new__(type(module))
    double.__dict__.update(module.__dict__)
    import copy
    double = copy.deepcopy(module).double()
    return per_sample(getattr(double, which), lambda: (double(x.double() if x.is_floating_point() else x),), (w,), n, axis)


def centred(*shape):
    """Values with a mean, as activations have."""
    return torch.randn(*shape) + 0.5 * torch.randn(shape[1] if len(shape) > 1 else 1).view(-1, *([1] * (len(shape) - 2)))


def test_linear():
    m = nn.Linear(24, 40)
    for dtype in CODES:
        if not dtype.is_floating_point:
            continue
        x, w = torch.randn(6, 24).to(dtype), torch.randn(6, 40).to(dtype)
        exact(f"linear, a row a sample, {dtype}", linear(Samples(6, 0, 8, 1, 1), x, w), module_truth(m, x, w, 6))
        x, w = (torch.randn(6, 20, 24) + 0.3).to(dtype), torch.randn(6, 20, 40).to(dtype)
        sketched(f"linear, {dtype}", lambda s: linear(s, x, w), 6, module_truth(m, x, w, 6))
    x, w = torch.randn(20, 6, 24), torch.randn(20, 6, 40)
    sketched("linear, time-major", lambda s: linear(s, x, w), 6, module_truth(m, x, w, 6, 1), axis=1)
    sketched("linear, time-major rows", lambda s: linear(s, x.reshape(120, 24), w.reshape(120, 40)), 6, module_truth(m, x, w, 6, 1), axis=1)
    xt, wt = x.transpose(0, 1), w.transpose(0, 1)
    sketched("linear, transposed view", lambda s: linear(s, xt, wt), 6, module_truth(m, xt, wt, 6))
    flat = xt.reshape(120, 24), wt.reshape(120, 40)
    sketched("linear, groups of rows", lambda s: linear(s, *flat), 6, module_truth(m, xt, wt, 6))
    x, w = torch.randn(4, 24, 7, 9).permute(0, 2, 3, 1), torch.randn(4, 9, 7, 40).permute(0, 2, 1, 3)
    sketched("linear, rows without one stride", lambda s: linear(s, x, w), 4, module_truth(m, x, w, 4))
    w2 = torch.randn(40).expand(4, 7, 9, 40)
    sketched("linear, expanded gradient", lambda s: linear(s, x, w2), 4, module_truth(m, x, w2, 4))


def test_conv():
    cases = [
        (nn.Conv2d, dict(in_channels=16, out_channels=24, kernel_size=3, padding=1), (5, 16, 11, 9)),
        (nn.Conv2d, dict(in_channels=3, out_channels=32, kernel_size=7, stride=2, padding=3), (4, 3, 21, 24)),
        (nn.Conv2d, dict(in_channels=4, out_channels=40, kernel_size=1), (4, 4, 9, 9)),
        (nn.Conv2d, dict(in_channels=20, out_channels=12, kernel_size=1, stride=2), (4, 20, 9, 8)),
        (nn.Conv2d, dict(in_channels=12, out_channels=10, kernel_size=(3, 2), stride=(2, 3), padding=(2, 1), dilation=(3, 2)), (4, 12, 17, 19)),
        (nn.Conv2d, dict(in_channels=12, out_channels=12, kernel_size=3, groups=12, padding=1), (4, 12, 8, 8)),
        (nn.Conv2d, dict(in_channels=24, out_channels=48, kernel_size=3, groups=2, stride=2, dilation=2, padding=1), (4, 24, 13, 13)),
        (nn.Conv2d, dict(in_channels=8, out_channels=16, kernel_size=8, stride=8), (4, 8, 24, 32)),
        (nn.Conv2d, dict(in_channels=16, out_channels=20, kernel_size=3, padding=2, padding_mode="zeros"), (4, 16, 30, 40)),
        (nn.Conv1d, dict(in_channels=16, out_channels=12, kernel_size=5, stride=3, padding=4, dilation=2), (4, 16, 700)),
        (nn.Conv1d, dict(in_channels=1, out_channels=12, kernel_size=10, stride=4), (4, 1, 801)),
        (nn.Conv3d, dict(in_channels=6, out_channels=12, kernel_size=(2, 3, 3), stride=(1, 2, 1), padding=(1, 0, 1), dilation=(2, 1, 1)), (3, 6, 6, 9, 8)),
        (nn.ConvTranspose1d, dict(in_channels=12, out_channels=10, kernel_size=5, stride=2, padding=1, output_padding=1), (4, 12, 40)),
        (nn.ConvTranspose2d, dict(in_channels=12, out_channels=10, kernel_size=4, stride=2, padding=1), (4, 12, 7, 9)),
        (nn.ConvTranspose2d, dict(in_channels=12, out_channels=20, kernel_size=3, stride=(2, 3), padding=1, output_padding=(1, 2), groups=2, dilation=(2, 3)), (4, 12, 7, 6)),
        (nn.ConvTranspose2d, dict(in_channels=12, out_channels=10, kernel_size=2, stride=1, dilation=3, output_padding=2), (4, 12, 7, 9)),
        (nn.ConvTranspose3d, dict(in_channels=9, out_channels=10, kernel_size=3, stride=2, padding=1), (3, 9, 3, 4, 5)),
    ]
    for kind, options, shape in cases:
        m = kind(**options)
        x = centred(*shape)
        w = torch.randn_like(m(x)) + 0.2
        truth = module_truth(m, x, w, shape[0])
        name = f"{kind.__name__} {options} {shape}"
        sketched(name, lambda s: conv(s, x, w, m), shape[0], truth)
        if len(shape) == 4:
            xl, wl = x.contiguous(memory_format=torch.channels_last), w.contiguous(memory_format=torch.channels_last)
            one, two = (conv(Samples(shape[0], 0, 16, 7, 7), a, b, m) for a, b in ((x, w), (xl, wl)))
            exact(f"{name}, channels last, the same", two, one, 1e-12)
            double = conv(Samples(shape[0], 0, 16, 7, 7), x.double(), w.double(), m)
            exact(f"{name}, double, the same", double, one, 1e-5)
            xh, wh = x.bfloat16(), w.half()
            exact(f"{name}, half precision, the same", conv(Samples(shape[0], 0, 16, 7, 7), xh, wh, m),
                  conv(Samples(shape[0], 0, 16, 7, 7), xh.float(), wh.float(), m), 1e-12)
    m = nn.Conv2d(6, 12, 3, padding=1, groups=6)
    x = centred(4, 6, 30, 30)
    w = torch.randn_like(m(x))
    exact("depthwise is exact", conv(Samples(4, 0, 8, 1, 1), x, w, m), module_truth(m, x, w, 4), 1e-5)
    m = nn.Conv2d(16, 24, 3, padding=1)
    x = centred(12, 16, 8, 8)
    w = torch.randn_like(m(x))
    double = nn.Conv2d(16, 24, 3, padding=1).double()
    truth = per_sample(double.weight, lambda: (double(x.double()).view(4, 3, 24, 8, 8),), (w.view(4, 3, 24, 8, 8),), 4)
    sketched("three images a sample", lambda s: conv(s, x, w, m), 4, truth)
    xe, we = x[:, :, :1].expand(12, 16, 8, 8), w[:, :1].expand(12, 24, 8, 8)
    sketched("expanded image", lambda s: conv(s, xe, we, m), 12, module_truth(m, xe, we, 12))


def test_embedding():
    for dtype in (torch.int64, torch.int32):
        for padding in (None, 3):
            m = nn.Embedding(30, 24, padding_idx=padding)
            ids = torch.randint(0, 30, (5, 40)).to(dtype)
            for kind in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
                w = torch.randn(5, 40, 24).to(kind)
                exact(f"embedding {dtype} {kind} padding {padding}", embedding(Samples(5, 0, 8, 1, 1), ids, w, -1 if padding is None else padding),
                      module_truth(m, ids, w, 5))
            exact(f"embedding {dtype} padding {padding}, time-major", embedding(Samples(5, 1, 8, 1, 1), ids.t(), w.transpose(0, 1), -1 if padding is None else padding),
                  module_truth(m, ids, w, 5))
    wide = torch.randn(5, 40, 48)[..., ::2]
    exact("embedding, gaps in the gradient", embedding(Samples(5, 0, 8, 1, 1), ids, wide, 3), module_truth(m, ids, wide, 5))


def test_gain():
    x, w = torch.randn(5, 7, 24) * 3 + 2, torch.randn(5, 7, 24)
    m = nn.LayerNorm(24)
    _, mean, rstd = torch.native_layer_norm(x, (24,), m.weight, m.bias, m.eps)
    exact("LayerNorm", gain(Samples(5, 0, 8, 1, 1), x, mean, rstd, w, 0), module_truth(m, x, w, 5), 1e-5)
    exact("LayerNorm, time-major", gain(Samples(7, 1, 8, 1, 1), x, mean, rstd, w, 0), module_truth(m, x, w, 7, 1), 1e-5)
    exact("LayerNorm bias", reduce(Samples(5, 0, 8, 1, 1), w, (24,)), module_truth(m, x, w, 5, which="bias"))
    m = nn.LayerNorm((7, 24))
    _, mean, rstd = torch.native_layer_norm(x, (7, 24), m.weight, m.bias, m.eps)
    exact("LayerNorm of two dimensions", gain(Samples(5, 0, 8, 1, 1), x, mean, rstd, w, 0), module_truth(m, x, w, 5), 1e-5)
    x, w = torch.randn(5, 12, 6, 7) * 2 + 1, torch.randn(5, 12, 6, 7)
    for fmt in (torch.contiguous_format, torch.channels_last):
        xf, wf = x.contiguous(memory_format=fmt), w.contiguous(memory_format=fmt)
        m = nn.GroupNorm(3, 12)
        _, mean, rstd = torch.native_group_norm(x, m.weight, m.bias, 5, 12, 42, 3, m.eps)
        exact(f"GroupNorm {fmt}", gain(Samples(5, 0, 8, 1, 1), xf, mean, rstd, wf, 1, 3), module_truth(m, x, w, 5), 1e-5)
        m = nn.BatchNorm2d(12)
        _, mean, rstd = torch.native_batch_norm(x, m.weight, m.bias, None, None, True, 0.1, m.eps)
        exact(f"BatchNorm {fmt}", gain(Samples(5, 0, 8, 1, 1), xf, mean, rstd, wf, 2), module_truth(m, x, w, 5), 1e-5)
        exact(f"BatchNorm bias {fmt}", reduce(Samples(5, 0, 8, 1, 1), wf, (12, 1, 1)), module_truth(m, x, w, 5, which="bias"))
        exact(f"BatchNorm half precision {fmt}", gain(Samples(5, 0, 8, 1, 1), xf.bfloat16(), mean, rstd, wf.half(), 2),
              gain(Samples(5, 0, 8, 1, 1), xf.bfloat16().float(), mean, rstd, wf.half().float(), 2), 1e-12)


def parameter_truth(shape, apply, w, n, axis=0):
    p = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    return per_sample(p, lambda: (apply(p),), (w,), n, axis)


def test_reduce():
    s = lambda n=5, axis=0: Samples(n, axis, 8, 1, 1)
    w, x = torch.randn(5, 7, 24), torch.randn(5, 7, 24)
    zero = torch.zeros(5, 7, 24, dtype=torch.float64)
    for shape in ((24,), (7, 24), (1, 7, 24), (7, 1), (1, 24), (1, 1, 1), ()):
        exact(f"added {shape}", reduce(s(), w, shape), parameter_truth(shape, lambda p: zero + p, w, 5))
        exact(f"scale {shape}", reduce(s(), w, shape, x), parameter_truth(shape, lambda p: x.double() * p, w, 5))
    exact("scale with another's broadcast", reduce(s(), w, (24,), x[:, :1, :]), parameter_truth((24,), lambda p: zero + x[:, :1].double() * p, w, 5))
    exact("added, time-major", reduce(s(7, 1), w, (5, 24)), parameter_truth((5, 1, 24), lambda p: zero + p, w, 7, 1))
    exact("added, time-major, whole shape", reduce(s(7, 1), w, (5, 1, 24)), parameter_truth((5, 1, 24), lambda p: zero + p, w, 7, 1))
    flat = w.reshape(35, 24)
    exact("bias of rows", reduce(s(), flat, (24,)), parameter_truth((24,), lambda p: zero + p, w, 5))
    exact("bias of rows, time-major", reduce(s(7, 1), flat, (24,)), parameter_truth((24,), lambda p: zero + p, w, 7, 1))
    e = torch.randn(5, 1, 24).expand(5, 7, 24)
    exact("expanded gradient", reduce(s(), e, (24,)), parameter_truth((24,), lambda p: zero + p, e, 5))
    t = w.permute(0, 2, 1).contiguous().permute(0, 2, 1)
    exact("transposed gradient", reduce(s(), t, (7, 24)), parameter_truth((7, 24), lambda p: zero + p, w, 5))
    exact("transposed gradient, bias", reduce(s(), t, (24,)), parameter_truth((24,), lambda p: zero + p, w, 5))


def is_zero(t):
    return lib.drive_is_zero(tensor(t))


def with_uses(n, dim0, rest, calls, axis=0):
    def draw(s):
        uses = lib.drive_uses(n, dim0, rest, 8, s.seed, 5)
        for call in calls:
            call(Samples(n, axis, 8, 99, 99, uses))
        return lib.drive_uses_sum(uses)
    return draw


def test_uses():
    table = torch.randn(30, 24, dtype=torch.float64, requires_grad=True)
    ids, w, v, x = torch.randint(0, 30, (5, 12)), torch.randn(5, 12, 24), torch.randn(5, 12, 30), torch.randn(5, 12, 24) + 0.5
    w = x + 0.5 * w
    v[torch.arange(5).view(5, 1), torch.arange(12), ids] += 5
    truth = per_sample(table, lambda: (F.embedding(ids, table), x.double() @ table.t()), (w, v), 5)
    for name, order in (("head first", 1), ("embedding first", -1)):
        calls = [lambda s: linear(s, x, v), lambda s: embedding(s, ids, w)][::order]
        sketched(f"tied embedding, {name}", with_uses(5, 30, 24, calls), 5, truth)
    apart = per_sample(table, lambda: (F.embedding(ids, table),), (w,), 5) + per_sample(table, lambda: (x.double() @ table.t(),), (v,), 5)
    report("cross terms are much of it", truth / apart, 1.3, 0.2)

    torch.manual_seed(5)
    cell = nn.RNN(12, 16, batch_first=False).double()
    seq = torch.randn(9, 5, 12, dtype=torch.float64)
    out, _ = cell(seq)
    g = torch.randn(9, 5, 16, dtype=torch.float64)
    truth = per_sample(cell.weight_hh_l0, lambda: (cell(seq)[0],), (g,), 5, 1)
    # the same steps by hand, for the gradient at each
    hidden, pre, h = [], [], torch.zeros(5, 16, dtype=torch.float64)
    for t in range(9):
        hidden.append(h)
        a = seq[t] @ cell.weight_ih_l0.t() + cell.bias_ih_l0 + h @ cell.weight_hh_l0.t() + cell.bias_hh_l0
        a.retain_grad()
        pre.append(a)
        h = torch.tanh(a)
        hidden[-1] = hidden[-1].detach()
        out_t = h
        (out_t * g[t]).sum().backward(retain_graph=True)
    calls = [(lambda s, t=t: linear(s, hidden[t].float(), pre[t].grad.float())) for t in reversed(range(9))]
    sketched("recurrent weight, nine steps", with_uses(5, 16, 16, calls), 5, truth)
    truth = per_sample(cell.bias_hh_l0, lambda: (cell(seq)[0],), (g,), 5, 1)
    calls = [(lambda s, t=t: reduce(s, pre[t].grad, (16,))) for t in range(9)]
    exact("recurrent bias, nine steps", with_uses(5, 16, 1, calls)(Samples(5, 0, 8, 1, 1)), truth, 1e-9)

    m = nn.Conv2d(10, 20, 3, padding=1, groups=2)
    d = nn.Conv2d(10, 20, 3, padding=1, groups=2).double()
    x1, x2 = centred(4, 10, 7, 8), centred(4, 10, 5, 5)
    w1, w2 = torch.randn_like(m(x1)), torch.randn_like(m(x2))
    truth = per_sample(d.weight, lambda: (d(x1.double()), d(x2.double())), (w1, w2), 4)
    sketched("convolution used twice", with_uses(4, 20, 45, [lambda s: conv(s, x1, w1, m), lambda s: conv(s, x2, w2, m)]), 4, truth)
    table = torch.randn(12, 24, dtype=torch.float64, requires_grad=True)
    a, b = torch.randn(5, 12, 24), torch.randn(5, 12, 24)
    truth = per_sample(table, lambda: (a.double() + table, b.double() * table), (w, w), 5)
    sketched("position table used twice", with_uses(5, 12, 24, [lambda s: reduce(s, w, (12, 24)), lambda s: reduce(s, w, (12, 24), b)]), 5, truth)


def test_whole():
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        base = torch.randn(6, 30, 50).to(dtype)
        for name, t in (("whole", base), ("transposed", base.transpose(0, 2)), ("gaps", base[:, ::3, 1::2]), ("expanded", base[:1].expand(6, 30, 50)), ("scalar", base[0, 0, 0])):
            exact(f"norm {dtype} {name}", lib.drive_norm2(tensor(t)), t.double().pow(2).sum().item(), 1e-12)
            exact(f"is zero {dtype} {name}", is_zero(t), 0)
            exact(f"is zero {dtype} {name} of zeros", is_zero(t * 0), 1)
        last = -torch.zeros(70, 90, dtype=dtype)
        exact(f"is zero {dtype} -0", is_zero(last), 1)
        last[-1, -1] = float("nan")
        exact(f"is zero {dtype} last", is_zero(last) + is_zero(last.t()), 0)
        exact(f"is zero {dtype} all but last", is_zero(last[:, :-1]), 1)


torch.manual_seed(1)
torch.set_num_threads(1)
for test in (test_linear, test_conv, test_embedding, test_gain, test_reduce, test_uses, test_whole):
    test()
if failures:
    print(f"{len(failures)} failed:", *failures, sep="\n  ")
sys.exit(bool(failures))
