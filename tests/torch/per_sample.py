"""Every sample's own gradient, from the definition: sample i gets a copy of each parameter of its own, and A_i is that copy's gradient.

`expanded(model, n)` is the model in float64 whose parameters are PerSample: n copies, of which sample i's part of an operation uses the
i-th. Autograd then gives A_i however often a parameter is used and whatever couples the samples elsewhere (BatchNorm). It knows the
operations that these tests use; another raises KeyError. Nothing here is shared with gnscope.
"""
import copy

import torch
from torch import nn
from torch.nn import functional as F


class PerSample:
    """n copies of one parameter, in the places where PyTorch expects the parameter."""

    def __init__(self, copies):
        self.copies = copies

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return RULES[function.__name__](*args, **(kwargs or {}))

    def __getitem__(self, index):
        return PerSample(self.copies[(slice(None), *(index if isinstance(index, tuple) else (index,)))])

    def __mul__(self, x):
        return scaled(x, self)

    def expand(self, *sizes):
        return self.copies[:, 0] if sizes[0] == len(self.copies) else self.copies

    shape = property(lambda self: self.copies.shape[1:])
    requires_grad = True


def samples_first(x, n):
    """x with the samples' dimension in front, and what puts it back."""
    if len(x) == n:
        return x, lambda t: t
    assert x.shape[1] == n, f"no dimension of {tuple(x.shape)} is of {n} samples"
    return x.transpose(0, 1), lambda t: t.transpose(0, 1)


def beside(p, x):
    """The copies shaped to be broadcast over x, whose samples are in front."""
    c = p.copies
    return c.reshape(len(c), *[1] * (x.dim() - c.dim()), *c.shape[1:]) if x.dim() >= c.dim() else c.reshape(len(c), *c.shape[-(x.dim() - 1):])


def linear(x, weight, bias=None):
    x, back = samples_first(x, len(weight.copies))
    y = torch.bmm(x.reshape(len(x), -1, x.shape[-1]), weight.copies.transpose(1, 2)).view(*x.shape[:-1], -1)
    return back(y if bias is None else y + beside(bias, y))


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    n, w = len(x), weight.copies
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), w.flatten(0, 1), None, stride, padding, dilation, n * groups)
    y = y.view(n, -1, *y.shape[2:])
    return y if bias is None else y + bias.copies[:, :, None, None]


def embedding(ids, weight, *_, **__):
    if ids.dim() == 1:  # positions: the same for every sample
        return weight.copies[:, ids]
    ids, back = samples_first(ids, len(weight.copies))
    return back(torch.stack([w[i] for w, i in zip(weight.copies, ids)]))


def gain_and_shift(y, weight, bias):
    y, back = samples_first(y, len(weight.copies))
    return back(y * beside(weight, y) + beside(bias, y))


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    return gain_and_shift(F.layer_norm(x, shape, None, None, eps), weight, bias)


def per_channel(y, weight, bias):
    return y * weight.copies[:, :, None, None] + bias.copies[:, :, None, None]


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    return per_channel(F.group_norm(x, groups, None, None, eps), weight, bias)


def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    return per_channel(F.batch_norm(x, mean, var, None, None, training, momentum, eps), weight, bias)


def shifted(x, p):
    x, p = (p, x) if isinstance(x, PerSample) else (x, p)
    return x + beside(p, x)


def scaled(x, p):
    x, p = (p, x) if isinstance(x, PerSample) else (x, p)
    return x * beside(p, x)


RULES = {"linear": linear, "conv2d": conv2d, "embedding": embedding, "layer_norm": layer_norm, "group_norm": group_norm,
         "batch_norm": batch_norm, "add": shifted, "__add__": shifted, "__radd__": shifted, "mul": scaled, "__mul__": scaled, "__rmul__": scaled}


class Recurrent(nn.Module):
    """A one-layer nn.LSTM, step by step."""

    def __init__(self, batch_first):
        super().__init__()
        self.batch_first = batch_first

    def forward(self, x):
        x = x if self.batch_first else x.transpose(0, 1)
        h = c = x.new_zeros(len(x), self.weight_hh_l0.shape[1])
        out = []
        for t in range(x.shape[1]):
            gates = linear(x[:, t], self.weight_ih_l0, self.bias_ih_l0) + linear(h, self.weight_hh_l0, self.bias_hh_l0)
            i, f, g, o = gates.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            out.append(h)
        y = torch.stack(out, 1)
        return (y if self.batch_first else y.transpose(0, 1)), None


class EncoderLayer(nn.Module):
    """nn.TransformerEncoderLayer, post-norm, no dropout, batch first."""

    def __init__(self, layer):
        super().__init__()
        self.heads = layer.self_attn.num_heads
        for name, module in layer.named_children():
            setattr(self, name, module)

    def forward(self, x):
        n, t, d = x.shape
        a = self.self_attn
        q, k, v = (p.view(n, t, self.heads, -1).transpose(1, 2) for p in linear(x, a.in_proj_weight, a.in_proj_bias).split(d, 2))
        out = (q @ k.transpose(2, 3) / (d // self.heads) ** 0.5).softmax(-1) @ v
        x = self.norm1(x + a.out_proj(out.transpose(1, 2).reshape(n, t, d)))
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))


def stand_in(module):
    if isinstance(module, nn.LSTM):
        assert module.num_layers == 1 and not module.bidirectional and not module.proj_size
        return Recurrent(module.batch_first)
    if isinstance(module, nn.TransformerEncoderLayer):
        return EncoderLayer(module)
    return None


def expanded(model, n):
    """(the model with n copies of each trained parameter, {name: copies}). A parameter of several names has the first's copies."""
    model = copy.deepcopy(model).double()
    leaves, copies = {}, {}

    def replace(module, prefix):
        for name, p in list(module._parameters.items()):
            if p is None or not p.requires_grad:
                continue
            if id(p) not in leaves:
                leaf = p.detach().expand(n, *p.shape).clone().requires_grad_()
                leaves[id(p)] = (PerSample(leaf), p)
                copies[prefix + name] = leaf
            del module._parameters[name]
            setattr(module, name, leaves[id(p)][0])
        for name, child in list(module._modules.items()):
            replace(child, prefix + name + ".")
            other = stand_in(child)
            if other:
                other.train(child.training)
                for key, value in vars(child).items():
                    if isinstance(value, PerSample):
                        setattr(other, key, value)
                module._modules[name] = other

    replace(model, "")
    return model, copies


def per_sample_squares(model, objective, n):
    """{name: |A_i| squared for each of the n samples} of objective(model)."""
    shadow, copies = expanded(model, n)
    objective(shadow).backward()
    return {name: c.grad.flatten(1).square().sum(1) for name, c in copies.items() if c.grad is not None}


def loop(model, objective_alone, n):
    """The same by one backward pass a sample, where samples do not meet. objective_alone(model, i) is sample i's share."""
    model = copy.deepcopy(model).double()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rows = []
    for i in range(n):
        model.zero_grad()
        objective_alone(model, i).backward()
        rows.append([0.0 if p.grad is None else p.grad.square().sum().item() for _, p in named])
    return {name: torch.tensor(column, dtype=torch.float64) for (name, _), column in zip(named, zip(*rows))}
