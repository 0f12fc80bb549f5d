"""Small models of the kinds that people train, each with data that a teacher of the same seed makes.

MODELS maps a name to (make(args) -> module, batch(args, generator, n) -> (x, y), loss(model, x, y) -> mean over the samples).
"""
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class MLP(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.fc1 = nn.Linear(24, 64)
        self.fc2 = nn.Linear(64, 64)
        self.drop = nn.Dropout(dropout)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc3(self.drop(F.relu(self.fc2(F.relu(self.fc1(x))))))


class Deep(nn.Module):
    """Blocks that are recomputed in the backward pass, in one of PyTorch's two ways."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.inp = nn.Linear(24, 48)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 48)) for _ in range(2))
        self.out = nn.Linear(48, 10)

    def forward(self, x):
        h = self.inp(x)
        for block in self.blocks:
            h = h + (checkpoint(block, h, use_reentrant=self.how == "reentrant") if self.how else block(h))
        return self.out(h)


class CNN(nn.Module):
    def __init__(self, norm=None):
        super().__init__()
        make = {None: lambda c: nn.Identity(), "batch": nn.BatchNorm2d, "group": lambda c: nn.GroupNorm(4, c)}[norm]
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=norm is None)
        self.norm1 = make(16)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=2, bias=norm is None)
        self.norm2 = make(32)
        self.conv3 = nn.Conv2d(32, 32, (1, 3), dilation=(1, 2))
        self.out = nn.Linear(32, 10)

    def forward(self, x):
        h = F.relu(self.norm1(self.conv1(x)))
        h = F.relu(self.norm2(self.conv2(h)))
        return self.out(F.relu(self.conv3(h)).mean((2, 3)))


class LSTM(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.batch_first = batch_first
        self.token = nn.Embedding(32, 24)
        self.lstm = nn.LSTM(24, 32, batch_first=batch_first)
        self.out = nn.Linear(32, 32)

    def forward(self, x):
        h = self.token(x if self.batch_first else x.t())
        h = self.out(self.lstm(h)[0])
        return h if self.batch_first else h.transpose(0, 1)


class LM(nn.Module):
    """A decoder of one block with learned positions; the head is the token table or a matrix of its own."""

    def __init__(self, tied):
        super().__init__()
        self.token = nn.Embedding(32, 48)
        self.position = nn.Embedding(16, 48)
        self.norm1, self.norm2, self.norm = nn.LayerNorm(48), nn.LayerNorm(48), nn.LayerNorm(48)
        self.qkv = nn.Linear(48, 144)
        self.proj = nn.Linear(48, 48)
        self.fc1, self.fc2 = nn.Linear(48, 96), nn.Linear(96, 48)
        self.head = nn.Linear(48, 32, bias=False)
        if tied:
            nn.init.normal_(self.token.weight, std=0.1)
            self.head.weight = self.token.weight

    def forward(self, x):
        n, t = x.shape
        h = self.token(x) + self.position(torch.arange(t))
        q, k, v = (a.view(n, t, 4, 12).transpose(1, 2) for a in self.qkv(self.norm1(h)).split(48, 2))
        mask = torch.ones(t, t, dtype=torch.bool).triu(1)
        a = (q @ k.transpose(2, 3) / math.sqrt(12)).masked_fill(mask, -math.inf).softmax(-1) @ v
        h = h + self.proj(a.transpose(1, 2).reshape(n, t, 48))
        h = h + self.fc2(F.gelu(self.fc1(self.norm2(h))))
        return self.head(self.norm(h))


class Encoder(nn.Module):
    """PyTorch's own encoder layer, which works time-major inside whatever its batch_first says; a class token and a scale."""

    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(6, 32)
        self.cls = nn.Parameter(torch.randn(1, 1, 32) * 0.1)
        self.position = nn.Parameter(torch.randn(1, 9, 32) * 0.1)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.scale = nn.Parameter(torch.ones(32))
        self.out = nn.Linear(32, 10)

    def forward(self, x):
        h = torch.cat((self.cls.expand(len(x), -1, -1), self.inp(x.view(len(x), 8, 6))), 1) + self.position
        return self.out(self.layer(h)[:, 0] * self.scale)


def vectors(width):
    def batch(args, g, n):
        """Ten classes, each a mean in unit noise."""
        means = torch.randn(10, width, generator=torch.Generator().manual_seed(args.seed + 1)) / 2
        y = torch.randint(10, (n,), generator=g)
        return means[y] + torch.randn(n, width, generator=g), y
    return batch


def images(args, g, n):
    means = torch.randn(10, 3, 10, 10, generator=torch.Generator().manual_seed(args.seed + 1))
    y = torch.randint(10, (n,), generator=g)
    return means[y] + means[y].mean((2, 3), keepdim=True) * 8 + torch.randn(n, 3, 10, 10, generator=g), y


def text(args, g, n):
    """Rows of a noisy counting language."""
    rows = torch.randint(32, (n, 17), generator=g)
    for t in range(1, 17):
        rows[:, t] = torch.where(torch.rand(n, generator=g) < 0.7, (rows[:, t - 1] + 1) % 32, rows[:, t])
    return rows[:, :-1], rows[:, 1:]


def classes(model, x, y):
    return F.cross_entropy(model(x), y)


def tokens(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


MODELS = {
    "mlp": (lambda args: MLP(), vectors(24), classes),
    "dropout": (lambda args: MLP(0.3), vectors(24), classes),
    "deep": (lambda args: Deep(args.checkpoint), vectors(24), classes),
    "cnn": (lambda args: CNN(), images, classes),
    "cnn-bn": (lambda args: CNN("batch"), images, classes),
    "cnn-gn": (lambda args: CNN("group"), images, classes),
    "lstm": (lambda args: LSTM(True), text, tokens),
    "lstm-time": (lambda args: LSTM(False), text, tokens),
    "lm": (lambda args: LM(False), text, tokens),
    "lm-tied": (lambda args: LM(True), text, tokens),
    "encoder": (lambda args: Encoder(), vectors(48), classes),
}
COUPLED = {"cnn-bn", "dropout"}  # one sample alone does not go through these as it does in its batch
