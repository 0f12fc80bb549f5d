"""Models for the tests of the collector's Python half. Each gives a vector of the samples' losses."""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Case:
    """make() -> model; batch(i) -> tuple of tensors; losses(model, *batch) -> (n,)"""

    def __init__(self, make, batch, losses, left=None, n=None, samples=0, tolerance=1e-9, optimizer=None, within=1e-9):
        self.make, self.batch, self.losses = make, batch, losses
        self.left = left or {}
        self.n, self.samples, self.tolerance = n, samples, tolerance
        self.optimizer = optimizer or (lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9))


def vectors(n=6, size=5, classes=4):
    return lambda i: (torch.randn(n, size), torch.randint(0, classes, (n,)))


def images(n=4, channels=3, size=9, classes=4, dims=2):
    return lambda i: (torch.randn((n, channels) + (size,) * dims), torch.randint(0, classes, (n,)))


def tokens(n=4, t=6, vocab=11):
    def batch(i):
        ids = torch.randint(0, vocab, (n, t + 1))
        return ids[:, :-1], ids[:, 1:]
    return batch


def sequences(n=4, t=6, size=8, classes=4):
    return lambda i: (torch.randn(n, t, size), torch.randint(0, classes, (n,)))


def classify(model, x, y):
    return F.cross_entropy(model(x), y, reduction="none")


def predict(model, x, y):
    out = model(x)
    return F.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)


def pooled(model, x, y):
    return F.cross_entropy(model(x).mean(1), y, reduction="none")


class Net(nn.Module):
    """A model from its parts and a forward function."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.how = forward

    def forward(self, *args, **kwargs):
        return self.how(self, *args, **kwargs)


def seq(*layers):
    return lambda: nn.Sequential(*layers_of(layers))


def layers_of(layers):
    return [f() for f in layers]


class Attention(nn.Module):
    def __init__(self, d, heads, fused=True):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = (z.view(n, t, self.heads, -1).transpose(1, 2) for z in self.qkv(x).split(d, 2))
        s = (q @ k.transpose(2, 3) / math.sqrt(d)).masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -math.inf)
        return self.out((s.softmax(-1) @ v).transpose(1, 2).reshape(n, t, d))


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(d) + 0.5)

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


class LM(nn.Module):
    """tied: the head is the embedding's matrix; position: "parameter", "slice", "arange" or "arange2"."""

    def __init__(self, tied=False, position="parameter", norm=nn.LayerNorm, vocab=11, d=8, t=6, scale=False):
        super().__init__()
        self.token = nn.Embedding(vocab, d)
        self.position_kind = position
        if position == "parameter":
            self.position = nn.Parameter(torch.randn(1, t, d))
        else:
            self.position = nn.Embedding(t + 3, d)
        self.norm1, self.norm2, self.norm3 = norm(d), norm(d), norm(d)
        self.attention = Attention(d, 2)
        self.fc1, self.fc2 = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        self.head = nn.Linear(d, vocab, bias=False)
        if tied:
            self.head.weight = self.token.weight

    def forward(self, x):
        t = x.shape[1]
        if self.position_kind == "parameter":
            where = self.position[:, :t]
        elif self.position_kind == "slice":
            where = self.position.weight[:t]
        elif self.position_kind == "arange":
            where = self.position(torch.arange(t))
        elif self.position_kind == "arange2":
            where = self.position(torch.arange(t)[None])
        else:
            where = self.position(torch.arange(t).expand(x.shape))
        h = self.token(x) + where
        h = h + self.attention(self.norm1(h))
        h = h + self.fc2(F.gelu(self.fc1(self.norm2(h))))
        return self.head(self.norm3(h))


class Cells(nn.Module):
    """A recurrent cell by hand, over (n, t, d)."""

    def __init__(self, cell, d, h, classes):
        super().__init__()
        self.cell, self.head, self.h = cell(d, h), nn.Linear(h, classes), h

    def forward(self, x):
        state = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Recurrent(nn.Module):
    def __init__(self, kind, d=8, h=5, classes=4, batch_first=True, layers=1, both=False, packed=False):
        super().__init__()
        self.rnn = kind(d, h, layers, batch_first=batch_first, bidirectional=both)
        self.head = nn.Linear(h * (2 if both else 1), classes)
        self.batch_first = batch_first

    def forward(self, x):
        return self.head(self.rnn(x)[0].mean(1 if self.batch_first else 0))


class Experts(nn.Module):
    """Every token goes to one of the experts, which sees as many rows as come to it."""

    def __init__(self, d=8, experts=3, classes=4):
        super().__init__()
        self.inner = nn.Linear(d, d)
        self.router = nn.Linear(d, experts)
        self.experts = nn.ModuleList(nn.Linear(d, d) for _ in range(experts))
        self.head = nn.Linear(d, classes)

    def forward(self, x):
        n, t, d = x.shape
        x = torch.tanh(self.inner(x))
        rows = x.reshape(n * t, d)
        gate = self.router(rows).softmax(-1)
        choice = gate.argmax(-1)
        out = torch.zeros_like(rows)
        for e, expert in enumerate(self.experts):
            index = (choice == e).nonzero().squeeze(1)
            if len(index):
                got = expert(rows.index_select(0, index)) * gate.index_select(0, index)[:, e:e + 1]
                out = out.index_add(0, index, got)
        return self.head((rows + out).view(n, t, d))


class Transformer(nn.Module):
    """PyTorch's own encoder layer, over (n, t, d) or, batch_first False, over (t, n, d) inside."""

    def __init__(self, d=8, classes=4, batch_first=True, turn=False):
        super().__init__()
        self.inner = nn.Linear(d, d)
        self.layer = nn.TransformerEncoderLayer(d, 2, 2 * d, dropout=0.0, batch_first=batch_first)
        self.head = nn.Linear(d, classes)
        self.turn = turn

    def forward(self, x):
        x = self.inner(x)
        if self.turn:
            return self.head(self.layer(x.transpose(0, 1)).transpose(0, 1))
        return self.head(self.layer(x))


def time_major(model, x, y):
    """The batch is dimension 1 of what the model sees."""
    out = model(x.transpose(0, 1).contiguous())
    return F.cross_entropy(out.mean(0), y, reduction="none")


def time_major_rnn(model, x, y):
    return F.cross_entropy(model(x.transpose(0, 1).contiguous()), y, reduction="none")


def conv_net(conv, *more):
    return lambda: nn.Sequential(conv(), *[m() for m in more], nn.Flatten(), nn.LazyLinear(4))


CASES = {}
V2 = int(torch.__version__.split(".")[0]) >= 2


def case(name, *args, **kwargs):
    CASES[name] = Case(*args, **kwargs)


L, R = nn.Linear, nn.ReLU
case("mlp", seq(lambda: L(5, 7), R, lambda: L(7, 7), nn.Tanh, lambda: L(7, 4, bias=False)), vectors(), classify)
case("mlp told", seq(lambda: L(5, 7), R, lambda: L(7, 4)), vectors(), classify, samples=6)
case("rows", seq(lambda: L(8, 7), R, lambda: L(7, 4)), sequences(), pooled)
case("layer twice", lambda: Net(lambda m, x: m.b(m.a(torch.tanh(m.a(x)))), a=L(5, 5), b=L(5, 4)), vectors(), classify)
case("siamese", lambda: Net(lambda m, x: m.b(m.a(x) * m.a(-x.flip(1))), a=L(5, 5), b=L(5, 4)), vectors(), classify)
case("matrix", lambda: Net(lambda m, x: (x @ m.a).tanh() @ m.b + m.c, a=nn.Parameter(torch.randn(5, 6)),
                           b=nn.Parameter(torch.randn(6, 4)), c=nn.Parameter(torch.randn(4))), vectors(), classify)
case("matrix both ways", lambda: Net(lambda m, x: ((x @ m.a).tanh() @ m.a.t()).tanh() @ m.b, a=nn.Parameter(torch.randn(5, 6)),
                                     b=nn.Parameter(torch.randn(5, 4))), vectors(), classify)
case("left", lambda: Net(lambda m, x: m.b((m.a @ x.t()).t().tanh()), a=nn.Parameter(torch.randn(6, 5)), b=L(6, 4)), vectors(),
     classify)
case("einsum", lambda: Net(lambda m, x: torch.einsum("btd,de->bte", x, m.a), a=nn.Parameter(torch.randn(8, 4))), sequences(), pooled)
case("vector", lambda: Net(lambda m, x: torch.stack([x @ m.a, x @ m.b, x @ m.a, x @ m.b], 1), a=nn.Parameter(torch.randn(5)),
                           b=nn.Parameter(torch.randn(5))), vectors(), classify)
case("split", lambda: Net(lambda m, x: m.head(F.linear(x, m.w[:5], m.b[:5]).tanh() * F.linear(x, m.w[5:], m.b[5:])),
                          w=nn.Parameter(torch.randn(10, 5)), b=nn.Parameter(torch.randn(10)), head=L(5, 4)), vectors(), classify)
case("chunk", lambda: Net(lambda m, x: m.head(math.prod([F.linear(x, w).tanh() for w in m.w.chunk(3)], start=1.0)),
                          w=nn.Parameter(torch.randn(15, 5)), head=L(5, 4)), vectors(), classify)
case("overlap", lambda: Net(lambda m, x: m.head(F.linear(x, m.w[:5]).tanh() * F.linear(x, m.w[3:8])),
                            w=nn.Parameter(torch.randn(10, 5)), head=L(5, 4)), vectors(), classify, left={"w": "tied"})
case("conv", conv_net(lambda: nn.Conv2d(3, 6, 3), R, lambda: nn.Conv2d(6, 5, 3, bias=False)), images(), classify)
case("conv strided", conv_net(lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1), R, lambda: nn.Conv2d(6, 5, 3, dilation=2)),
     images(), classify)
case("conv grouped", conv_net(lambda: nn.Conv2d(4, 8, 3, groups=2), R, lambda: nn.Conv2d(8, 8, 3, groups=8)), images(channels=4),
     classify)
case("conv transposed", conv_net(lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)),
     images(channels=4, size=5), classify)
case("conv same", conv_net(lambda: nn.Conv2d(3, 6, 4, padding="same"), R, lambda: nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular")),
     images(), classify)
case("conv1", conv_net(lambda: nn.Conv1d(3, 6, 3), R, lambda: nn.Conv1d(6, 5, 2, stride=2)), images(dims=1), classify)
case("conv3", conv_net(lambda: nn.Conv3d(3, 4, 3, padding=1), R), images(dims=3, size=4), classify)
case("conv transposed 1", conv_net(lambda: nn.ConvTranspose1d(3, 6, 3, stride=2)), images(dims=1), classify)
case("conv frames", lambda: Net(lambda m, x: m.head(m.conv(x.flatten(0, 1)).flatten(1).view(4, 3, -1).mean(1)), conv=nn.Conv2d(2, 4, 3),
                                head=L(4 * 9, 4)), lambda i: (torch.randn(4, 3, 2, 5, 5), torch.randint(0, 4, (4,))), classify)
case("group norm", conv_net(lambda: nn.Conv2d(3, 6, 3), lambda: nn.GroupNorm(2, 6), R), images(), classify)
case("instance norm", conv_net(lambda: nn.Conv2d(3, 6, 3), lambda: nn.InstanceNorm2d(6, affine=True), R), images(), classify)
case("batch norm, evaluated", lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6).eval(), nn.Flatten(), L(6 * 49, 4)), images(),
     classify)
case("layer norm 2", seq(lambda: nn.LayerNorm((6, 8)), nn.Flatten, lambda: L(48, 4)), sequences(), classify)
case("layer norm rows", seq(lambda: L(5, 7), lambda: nn.LayerNorm(7), lambda: L(7, 4)), vectors(), classify)
case("prelu", seq(lambda: L(5, 7), lambda: nn.PReLU(7), lambda: L(7, 4), nn.PReLU), vectors(), classify)
case("bilinear", lambda: Net(lambda m, x: m.a(x, x), a=nn.Bilinear(5, 5, 4)), vectors(), classify, left={"a.weight": "operation"})
case("weight norm", lambda: nn.Sequential(torch.nn.utils.weight_norm(L(5, 7)), nn.Tanh(), L(7, 4)), vectors(), classify,
     left={"0.weight_g": "operation", "0.weight_v": "operation"})
case("transformer", lambda: LM(), tokens(), predict)
case("transformer tied", lambda: LM(tied=True), tokens(), predict)
case("positions sliced", lambda: LM(position="slice"), tokens(), predict)
case("positions looked up", lambda: LM(position="arange"), tokens(), predict)
case("positions looked up 2", lambda: LM(position="arange2", tied=True), tokens(), predict)
case("positions expanded", lambda: LM(position="arange3"), tokens(), predict)
case("positions square", lambda: LM(position="arange", t=4), tokens(t=4), predict)
case("transformer rms", lambda: LM(norm=RMSNorm), tokens(), predict)
case("gain plus one", lambda: Net(lambda m, x: m.b((1 + m.w) * m.a(x)), w=nn.Parameter(torch.randn(8)), a=L(8, 8), b=L(8, 4)), sequences(),
     pooled, left={} if V2 else {"w": "operation"})



def penalised(term):
    """A term of parameters alone, in the loss of every sample."""
    def losses(model, x, y):
        return classify(model, x, y) + term(list(model.parameters()))
    return losses


MLP = seq(lambda: L(5, 7), nn.Tanh, lambda: L(7, 4))
OLD, FISHER = torch.randn(7, 5, dtype=torch.float64), torch.rand(7, 5, dtype=torch.float64)
case("penalty L2", MLP, vectors(), penalised(lambda ps: 0.3 * sum((p ** 2).sum() for p in ps)))
case("penalty L1", MLP, vectors(), penalised(lambda ps: sum(p.abs().sum() for p in ps) / 7))
case("penalty norms", MLP, vectors(), penalised(lambda ps: 0.5 * torch.stack([p.norm() for p in ps]).sum() - 0.1 * ps[0].view(-1).pow(2).mean()))
case("penalty proximal", MLP, vectors(), penalised(lambda ps: 0.5 * ((ps[0] - OLD) ** 2).sum()))
case("penalty EWC", MLP, vectors(), penalised(lambda ps: 0.5 * (FISHER * (ps[0] - OLD) ** 2).sum()))
case("penalty between", MLP, vectors(), penalised(lambda ps: (ps[1] * ps[0][:, 0]).sum() ** 2), left={"0.weight": "tied", "0.bias": "operation"})
case("penalty alone", lambda: Net(lambda m, x: m.a(x), a=L(5, 4), b=nn.Parameter(torch.randn(3))), vectors(),
     lambda m, x, y: classify(m, x, y) + 0.2 * (m.b ** 2).sum())
case("prototypes", lambda: Net(lambda m, x: m.a(x), a=L(5, 4), b=nn.Parameter(torch.randn(5))), vectors(),
     lambda m, x, y: classify(m, x, y) + ((x - m.b) ** 2).sum(1))
case("gain of all samples", lambda: Net(lambda m, x: m.a(x) * m.b.abs().sum(), a=L(5, 4), b=nn.Parameter(torch.randn(3))), vectors(), classify,
     left={"b": "operation"})


class Distances(nn.Module):
    """A bias of attention looked up by the distance of positions, which are as many as samples, or twice."""

    def __init__(self, t):
        super().__init__()
        self.bias, self.qkv, self.head = nn.Embedding(2 * t, 2), nn.Linear(8, 24), nn.Linear(8, 4)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = (z.view(n, t, 2, -1).transpose(1, 2) for z in self.qkv(x).split(d, 2))
        where = torch.arange(t)[:, None] - torch.arange(t)[None] + t
        scores = q @ k.transpose(2, 3) + self.bias(where).permute(2, 0, 1).unsqueeze(0)
        return self.head((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, d))


case("distances", lambda: Distances(4), sequences(t=4), pooled, left={"bias.weight": "samples"})
case("distances twice", lambda: Distances(8), sequences(t=8), pooled, left={"bias.weight": "samples"})
case("conv twice", conv_net(lambda: Net(lambda m, x: m.c(m.c(x).tanh()), c=nn.Conv2d(3, 3, 3, groups=3))), images(), classify)
case("windows", lambda: Net(lambda m, x: m.h(m.a(x.reshape(4, 3, 2, 8).flatten(0, 1)).tanh()).view(4, 6, 4), a=L(8, 8), h=L(8, 4)),
     sequences(), pooled)
case("padding", lambda: Net(lambda m, x: m.h(m.e(x)), e=nn.Embedding(11, 8, padding_idx=2), h=L(8, 11)), tokens(), predict)
case("class token", lambda: Net(lambda m, x: m.h(torch.cat([m.c.expand(len(x), -1, -1), x], 1)), c=nn.Parameter(torch.randn(1, 1, 8)),
                                h=L(8, 4)), sequences(), pooled)
case("bag", lambda: Net(lambda m, x: m.h(m.e(x)), e=nn.EmbeddingBag(11, 8, mode="sum"), h=L(8, 4)),
     lambda i: (torch.randint(0, 11, (4, 6)), torch.randint(0, 4, (4,))), classify)
case("bag mean", lambda: Net(lambda m, x: m.h(m.e(x)), e=nn.EmbeddingBag(11, 8, mode="mean"), h=L(8, 4)),
     lambda i: (torch.randint(0, 11, (4, 6)), torch.randint(0, 4, (4,))), classify)
case("bag max", lambda: Net(lambda m, x: m.h(m.e(x)), e=nn.EmbeddingBag(11, 8, mode="max"), h=L(8, 4)),
     lambda i: (torch.randint(0, 11, (4, 6)), torch.randint(0, 4, (4,))), classify, left={"e.weight": "operation"})
case("frozen", lambda: freeze(nn.Sequential(L(5, 7), R(), L(7, 7), R(), L(7, 4)), "0.weight", "2.bias"), vectors(), classify)
case("lstm cell", lambda: Cells(nn.LSTMCell, 8, 5, 4), sequences(), classify)
case("gru cell", lambda: Cells(nn.GRUCell, 8, 5, 4), sequences(), classify)
case("rnn cell", lambda: Cells(nn.RNNCell, 8, 5, 4), sequences(), classify)
case("gru", lambda: Recurrent(nn.GRU), sequences(), classify)
case("gru time-major", lambda: Recurrent(nn.GRU, batch_first=False), sequences(), time_major_rnn)
case("gru two layers", lambda: Recurrent(nn.GRU, layers=2, both=True), sequences(), classify)
case("gru square", lambda: Recurrent(nn.GRU), sequences(t=4), classify)
case("rnn", lambda: Recurrent(nn.RNN), sequences(), classify)
FUSED = hasattr(torch, "mkldnn_rnn_layer")
# PyTorch 2 has a fused kernel for float32.
LSTM = {f"rnn.{k}_l0": "recurrent" for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")} if FUSED else {}
case("lstm", lambda: Recurrent(nn.LSTM), sequences(), classify)
case("lstm time-major", lambda: Recurrent(nn.LSTM, batch_first=False), sequences(), time_major_rnn)
case("lstm float32", lambda: Recurrent(nn.LSTM).float(), lambda i: (torch.randn(4, 6, 8, dtype=torch.float32), torch.randint(0, 4, (4,))),
     classify, left=LSTM, tolerance=1e-4)
case("lstm float32 time-major", lambda: Recurrent(nn.LSTM, batch_first=False).float(),
     lambda i: (torch.randn(4, 2, 8, dtype=torch.float32), torch.randint(0, 4, (4,))), time_major_rnn, left=LSTM, tolerance=1e-4)
case("attention", lambda: Net(lambda m, x: m.h(m.a(x, x, x)[0]), a=nn.MultiheadAttention(8, 2, batch_first=True), h=L(8, 4)),
     sequences(), pooled)
case("attention square", lambda: Net(lambda m, x: m.h(m.a(x, x, x)[0]), a=nn.MultiheadAttention(8, 2, batch_first=True), h=L(8, 4)),
     sequences(t=4), pooled)
case("attention crossed", lambda: Net(lambda m, x: m.h(m.a(x[:, :2], x, x)[0]), a=nn.MultiheadAttention(8, 2, batch_first=True), h=L(8, 4)),
     sequences(), pooled)
case("encoder", lambda: Transformer(), sequences(), pooled)
case("encoder time-major", lambda: Transformer(batch_first=False), sequences(), time_major)
case("encoder turned", lambda: Transformer(batch_first=False, turn=True), sequences(), pooled)
case("experts", lambda: Experts(), sequences(t=24), pooled,
     left={f"experts.{e}.{k}": "samples" for e in range(3) for k in ("weight", "bias")})
case("sparse", lambda: Net(lambda m, x: m.h(m.e(x)), e=nn.Embedding(11, 8, sparse=True), h=L(8, 11)), tokens(), predict,
     left={"e.weight": "sparse"}, optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.05))


def averaged_in_time(model, x, y):
    """A model that is called with (time, samples, ...) and whose answers are averaged over time."""
    return F.cross_entropy(model(x.transpose(0, 1)).mean(0), y, reduction="none")


def summed_in_time(model, x, y):
    """The loss of each moment, summed over time: as an actor and critic have it that were unrolled."""
    out = model(x.transpose(0, 1))
    target = y.expand(out.shape[:2])
    return F.cross_entropy(out.flatten(0, 1), target.flatten(), reduction="none").view(target.shape).sum(0)


def each_moment(model, x, y):
    """Nothing says which dimension is the samples'."""
    out = model(x)
    loss = F.cross_entropy(out.flatten(0, 1), y[:, None].expand(out.shape[:2]).flatten(), reduction="none").view(out.shape[:2])
    return loss @ loss.new_full((loss.shape[1],), 1 / loss.shape[1])


def each_moment_turned(model, x, y):
    out = model(x.transpose(0, 1))
    loss = F.cross_entropy(out.flatten(0, 1), y.expand(out.shape[:2]).flatten(), reduction="none").view(out.shape[:2])
    return loss.new_full((loss.shape[0],), 1 / loss.shape[0]) @ loss


def pairs(model, x, y):
    """Two rows a sample, in one call: [all first rows; all second rows]."""
    out = model(torch.cat((x, x.flip(1))))
    a, b = out[:len(x)], out[len(x):]
    return (a * b).sum(1).sigmoid()


def chunked(model, x, y):
    a, b = model(torch.cat((x, x * 0.5 + 0.1))).chunk(2)
    return -F.cosine_similarity(a, b) + 0.1 * (a ** 2).mean(1)


def frames(t, n=4):
    return lambda i: (torch.randn(n, t, 2, 5, 5), torch.randint(0, 4, (n,)))


def of_frames():
    return Net(lambda m, x: m.h(m.c(x.flatten(0, 1)).relu().flatten(1)).view(x.shape[0], x.shape[1], -1), c=nn.Conv2d(2, 3, 3), h=L(27, 4))


def all_left(names):
    return {k: "samples" for k in names.split()}


MLP_NAMES = "0.weight 0.bias 2.weight 2.bias"
case("frames averaged in time", of_frames, frames(3), averaged_in_time)
case("frames averaged in time, square", of_frames, frames(4), averaged_in_time)
case("frames summed in time", of_frames, frames(3), summed_in_time)
case("frames, each alone", of_frames, frames(3), each_moment, left=all_left("c.weight c.bias h.weight h.bias"))
case("sequences averaged in time", lambda: nn.Sequential(L(8, 7), R(), L(7, 4)), sequences(), averaged_in_time)
case("sequences averaged in time, square", lambda: nn.Sequential(L(8, 7), R(), L(7, 4)), sequences(t=4), averaged_in_time)
case("sequences pooled, square", lambda: nn.Sequential(L(8, 7), R(), L(7, 4)), sequences(t=4), pooled)
case("sequences, each moment, square", lambda: nn.Sequential(L(8, 7), R(), L(7, 4)), sequences(t=4), each_moment, left=all_left(MLP_NAMES))
case("sequences, each moment", lambda: nn.Sequential(L(8, 7), R(), L(7, 4)), sequences(), each_moment, left=all_left(MLP_NAMES))
case("channels, square", lambda: nn.Sequential(nn.Conv1d(4, 5, 3), R(), nn.Flatten(), L(20, 4)), sequences(t=4, size=6), classify)
case("flattened, square", lambda: nn.Sequential(nn.Flatten(), L(32, 7), R(), L(7, 4)), sequences(t=4), classify)
case("tokens flattened, square", lambda: nn.Sequential(nn.Embedding(11, 8), nn.Flatten(), L(32, 4)),
     lambda i: (torch.randint(0, 11, (4, 4)), torch.randint(0, 4, (4,))), classify)
case("frames, each alone, samples told", of_frames, frames(3), each_moment, samples=4)
case("frames time-major, each alone, samples told", of_frames, frames(3), lambda m, x, y: each_moment_turned(m, x, y), samples=4)
case("pairs", lambda: nn.Sequential(L(5, 7), R(), L(7, 4)), vectors(), pairs, left=all_left(MLP_NAMES))
case("pairs in chunks", lambda: nn.Sequential(L(5, 7), R(), L(7, 4)), vectors(), chunked, left=all_left(MLP_NAMES))


def freeze(model, *names):
    for name, p in model.named_parameters():
        p.requires_grad_(name not in names)
    return model
