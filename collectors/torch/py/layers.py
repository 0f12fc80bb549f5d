# One small function for each operation that a parameter can enter. Each is called in a post hook of the operation's node,
# with the gradient y of what the operation made, while its saved operands are still there; it tells C where the samples'
# gradients are to be had from, and returns "" or why the parameter has to be left out.


TOLD = {0: "", -12: "tied", -19: "device"}


def told(rc):
    return TOLD.get(rc, "operation")


def _fold(t, lead):
    """Rows as the leading dimensions that they were flattened from."""
    return t.view(tuple(lead) + tuple(t.shape[1:])) if len(lead) > 1 else t


def _product(site, use, x, y, bias=None):
    """Gradient of a matrix that turned rows x into rows whose gradient is y; with it that of a bias that was added to these rows."""
    run, p = site.run, use.p
    if x.dim() != 2 or y.dim() != 2 or x.shape[0] != y.shape[0]:
        return "operation"
    lead = site.lead_of(x.shape[0])
    where = place(run, lead, p.hint, site.tainted)
    if where is None:
        return "samples"
    x, axis = arrange(_fold(x, lead), where, run.n)
    y, axis = arrange(_fold(y, lead), where, run.n)
    return _told_with(bias, _g.linear(p.id, x, y, run.n, axis, bias.p.id if bias else 0))


def _told_with(bias, rc):
    """1: the bias was measured, too."""
    if rc == 1:
        bias.done = True
        return ""
    return told(rc)


def _right(site, use, x, y):
    """The matrix is the right factor: y = x W, W stored (in, out), or transposed on the way, as PyTorch's Linear has it."""
    if not (turned(use) or use.chain and turned(use) is None):
        x, y = y, x
    return _product(site, use, x, y)


def _left(site, use, other, y):
    """The matrix is the left factor: the rows are the columns of the other one."""
    x, y = other.t(), y.t()
    if turned(use):
        x, y = y, x
    return _product(site, use, x, y)


def _matrix(site, use, name):
    sizes = saved_sizes(site.node, name)
    return site.saved(use, name, lambda t: tuple(t.shape) == sizes)


def addmm(site, use, y, grads):
    node = site.node
    if node._saved_alpha != 1 or node._saved_beta != 1:
        return "operation"
    if use.done:
        return ""
    if use.index and _meets_parameters(site, use, 3 - use.index):
        return "operation"
    if use.index == 2:
        x = _matrix(site, use, "mat1")
        return _product(site, use, x, y, _bias_beside(site, use, (y.shape[1],), 0)) if turned(use) else _right(site, use, x, y)
    if use.index == 1:
        return _left(site, use, _matrix(site, use, "mat2"), y)
    return _flat_sum(site, use, y, grads)


def _bias_beside(site, use, shape, index):
    """The use, at that input, of a bias of that shape that is as plain as those of PyTorch's own modules, or None."""
    for other in site.uses:
        p = other.p
        if other.index == index and not other.chain and p.shape == shape and p.hint == use.p.hint and p not in site.run.failed:
            return other
    return None


def _meets_parameters(site, use, other):
    """The other factor at that input is made of parameters: it knows no samples."""
    return _of_parameters(site.node.next_functions[other][0], 0, False)


def mm(site, use, y, grads):
    if _meets_parameters(site, use, 1 - use.index):
        return "operation"
    if use.index == 1:
        return _right(site, use, _matrix(site, use, "self"), y)
    return _left(site, use, _matrix(site, use, "mat2"), y)


def bmm(site, use, y, grads):
    """einsum and matmul make one batch of one product of a plain matrix."""
    if y.dim() != 3 or y.shape[0] != 1 or _meets_parameters(site, use, 1 - use.index):
        return "operation"
    if use.index == 1:
        return _right(site, use, site.saved(use, "self", lambda t: t.dim() == 3 and t.shape[:2] == y.shape[:2])[0], y[0])
    return _left(site, use, site.saved(use, "mat2", lambda t: t.dim() == 3 and t.shape[2] == y.shape[2])[0], y[0])


def mv(site, use, y, grads):
    if use.index != 1 or _meets_parameters(site, use, 0):
        return "samples"
    x = site.saved(use, "self", lambda t: t.dim() == 2 and t.shape[0] == y.shape[0])
    return _summed(site, use, y.unsqueeze(1).expand(x.shape), tuple(grads[1].shape), x)


def _flat_sum(site, use, y, grads):
    """A bias whose rows may have been flattened."""
    shape = tuple(grads[use.index].shape)
    if len(shape) == y.dim() and shape[0] != 1:
        return "operation"
    if y.dim() == 2:
        y = _fold(y, site.lead_of(y.shape[0]))
    return _summed(site, use, y, shape[-1:])


def _summed(site, use, y, shape, other=None):
    """Gradient y, or y times `other`, summed over what `shape` does not have."""
    run, p = site.run, use.p
    own = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    shape = shape[own:]
    lead = tuple(y.shape[:y.dim() - len(shape)])
    where = place(run, lead, p.hint, site.tainted)
    if where is None:
        return "samples"
    if other is not None:
        other = arrange(other.expand(y.shape), where, run.n)[0]
    y, axis = arrange(y, where, run.n)
    return told(_g.reduce(p.id, y, run.n, axis, shape, other))


def _broadcast(site, use, y, grads, other=None):
    """A parameter that was broadcast over the samples."""
    shape = tuple(grads[use.index].shape)
    if shape == tuple(y.shape) or _of_parameters(site.other_input(use.index)):
        return "operation"
    return _summed(site, use, y, shape, other)


def add(site, use, y, grads):
    if use.index == 1 and abs(site.node._saved_alpha) != 1:
        return "operation"
    if use.lookup is not None:
        return _looked_up(site, use, y, grads)
    return _broadcast(site, use, y, grads)


def mul(site, use, y, grads):
    other = site.saved(use, "self" if use.index else "other", lambda t: t.dim() <= y.dim())
    return _broadcast(site, use, y, grads, other)


def expand(site, use, y, grads):
    if use.lookup is not None:
        return _looked_up(site, use, y, grads)
    return _broadcast(site, use, y, grads)


def repeat(site, use, y, grads):
    """As InstanceNorm does with its gain and shift: as many copies as there are samples, one after another."""
    below, n = sizes_below(site.node), site.run.n
    times = tuple(site.node._saved_repeats)
    if n == 1 or times[0] != n or any(t != 1 for t in times[1:]) or len(times) != len(below):
        return "samples"
    return told(_g.reduce(use.p.id, y.reshape((n,) + below), n, 0, below, None))


def prelu(site, use, y, grads):
    x = site.saved(use, "self", lambda t: t.shape == y.shape)
    shape = tuple(grads[use.index].shape)
    if len(shape) == 1 and x.dim() > 1:  # of channels, in dimension 1
        shape = shape + (1,) * (x.dim() - 2)
    return _summed(site, use, y, shape, x.clamp(max=0))


def convolution(site, use, y, grads):
    run, p, node = site.run, use.p, site.node
    if use.done:
        return ""
    if use.index == 2:
        return _summed(site, use, y, (y.shape[1],) + (1,) * (y.dim() - 2))
    if use.index != 1:
        return "operation"
    x = site.saved(use, "input", lambda t: t.dim() == y.dim() and t.shape[0] == y.shape[0])
    where = place(run, (x.shape[0],), p.hint, site.tainted)
    if where is None or x.shape[0] != y.shape[0]:
        return "samples"
    if any(kind_of(n) not in WHOLE for n, _ in use.chain):
        return "operation"
    bias = None
    if where == ROUND:
        x, y = (samples_first(t, where, run.n).flatten(0, 1) for t in (x, y))
    elif y.shape[1] > 1:
        bias = _bias_beside(site, use, (y.shape[1],), 2)
    return _told_with(bias, _g.conv(p.id, x, y, run.n, tuple(node._saved_stride), tuple(node._saved_padding), tuple(node._saved_dilation),
                                    node._saved_groups, bool(node._saved_transposed), tuple(grads[1].shape[2:]), bias.p.id if bias else 0))


def embedding(site, use, y, grads):
    run, p, node = site.run, use.p, site.node
    if use.done:
        return ""
    if getattr(node, "_saved_sparse", False):
        return "sparse"
    ids = site.saved(use, "indices", lambda t: not t.is_floating_point() and t.shape == y.shape[:-1])
    if node._saved_scale_grad_by_freq or tuple(y.shape[:-1]) != tuple(ids.shape) or use.chain and turned(use) is not False:
        return "operation"
    where = place(run, tuple(ids.shape), p.hint, site.tainted)
    if where not in (0, 1) and run.n > 1 and not run.blocks:
        return "samples"  # a multiple of n may be something else, such as distances between positions
    ids, axis = arrange(ids, where, run.n)
    return told(_g.embedding(p.id, ids, arrange(y, where, run.n)[0], run.n, axis, _padding(node)))


def _padding(node):
    return max(signed(node._saved_padding_idx), -1)


def _looked_up(site, use, y, grads):
    """Rows looked up once for all samples, such as positions: the samples' shares of their gradient end here."""
    run, p, node = site.run, use.p, use.lookup.node
    below = grads[use.index]
    if tuple(below.shape) == tuple(y.shape):
        return ""  # one row for each sample: the embedding itself will tell
    use.lookup.done = True
    if not all(kind_of(n) in WHOLE | VIEWS | {"Squeeze", "Unsqueeze"} for n, _ in use.chain):
        return "samples"
    ids = peek(node, "indices")
    if ids is None:
        return "checkpoint"
    if node._saved_scale_grad_by_freq or below.shape[-1] != y.shape[-1] or below.numel() != ids.numel() * y.shape[-1]:
        return "operation"
    if _of_parameters(site.other_input(use.index)):
        return "operation"
    ids = ids.reshape(below.shape[:-1]).expand(y.shape[:-1])
    where = place(run, tuple(y.shape[:-1]), p.hint, site.tainted)
    if where is None:
        return "samples"
    ids, axis = arrange(ids, where, run.n)
    return told(_g.embedding(p.id, ids.contiguous(), arrange(y, where, run.n)[0], run.n, axis, _padding(node)))


def embedding_bag(site, use, y, grads):
    run, p, node = site.run, use.p, site.node
    if node._saved_sparse:
        return "sparse"
    if site.unpacked or packed(node, "indices"):
        return "checkpoint"
    mode, ids, offsets = node._saved_mode, node._saved_indices, node._saved_offsets
    if mode not in (0, 1) or node._saved_scale_grad_by_freq or node._saved_per_sample_weights is not None:
        return "operation"
    if y.shape[0] != run.n or site.tainted:
        return "samples"
    if mode == 1 and _padding(node) >= 0:
        return "operation"
    if device_of(offsets) >= 0:
        return "device"  # how large the bags are is known there alone
    starts = offsets.tolist()[:run.n]
    sizes = [b - a for a, b in zip(starts, starts[1:] + [ids.shape[0]])]
    if not sizes or len(set(sizes)) != 1 or sizes[0] == 0:
        return "samples"  # bags of several sizes
    size = sizes[0]
    if mode == 1:
        y = y / size
    y = y.unsqueeze(1).expand(run.n, size, y.shape[1])
    return told(_g.embedding(p.id, ids.view(run.n, size), y, run.n, 0, _padding(node)))


def _normalised(site, use, y, shape):
    """The operand, its means and their inverse deviations, which are saved last."""
    x = site.saved(use, "input", lambda t: t.shape == y.shape)
    mean, rstd = (site.saved(use, name, lambda t: tuple(t.shape) == shape, nth) for name, nth in (("result1", -2), ("result2", -1)))
    return x, mean, rstd


def layer_norm(site, use, y, grads):
    run, p, node = site.run, use.p, site.node
    own = len(node._saved_normalized_shape)
    if use.done:
        return ""
    if use.index == 2:
        return _summed(site, use, y, tuple(y.shape[y.dim() - own:]))
    lead = tuple(y.shape[:y.dim() - own])
    where = place(run, lead, p.hint, site.tainted)
    if where is None:
        return "samples"
    x, mean, rstd = _normalised(site, use, y, lead + (1,) * own)
    parts = [samples_first(t, where, run.n) for t in (x, mean, rstd, y)]
    size = p_size(x.shape[x.dim() - own:])
    x, y = (parts[i].reshape(run.n, -1, size) for i in (0, 3))
    mean, rstd = (parts[i].reshape(run.n, -1) for i in (1, 2))
    bias = _bias_beside(site, use, p.shape, 2) if p.shape[0] != 1 and len(p.shape) == own else None
    return _told_with(bias, _g.gain(p.id, x.contiguous(), mean.contiguous(), rstd.contiguous(), y.contiguous(), run.n, 0, 0,
                                    bias.p.id if bias else 0))


def p_size(sizes):
    size = 1
    for s in sizes:
        size *= s
    return size


def group_norm(site, use, y, grads):
    run, p, node = site.run, use.p, site.node
    channels, groups = (y.shape[1],) + (1,) * (y.dim() - 2), node._saved_group
    if use.index == 2:
        return _summed(site, use, y, channels)
    x, mean, rstd = _normalised(site, use, y, (y.shape[0], groups))
    if x.shape[0] == run.n and not site.tainted:
        return told(_g.gain(p.id, x.contiguous(), mean.contiguous(), rstd.contiguous(), y.contiguous(), run.n, 1, groups))
    with torch.no_grad():
        rows = x.detach().reshape(x.shape[0], groups, -1)
        hat = ((rows - mean.unsqueeze(2)) * rstd.unsqueeze(2)).reshape(x.shape)
        return _summed(site, use, y, channels, hat)


def batch_norm(site, use, y, grads):
    run, p, node = site.run, use.p, site.node
    channels = (y.shape[1],) + (1,) * (y.dim() - 2)
    if node._saved_training:
        run.note("batchnorm", p.name.rpartition(".")[0])
    if use.index == 2:
        return _summed(site, use, y, channels)
    if node._saved_training:
        x, mean, rstd = _normalised(site, use, y, (y.shape[1],))
    else:
        if site.unpacked:
            return "checkpoint"
        x, mean = node._saved_input, node._saved_running_mean
        with torch.no_grad():
            eps = node._saved_eps if hasattr(node, "_saved_eps") else node._saved_epsilon
            rstd = torch.rsqrt(node._saved_running_var + eps)
    if x.shape[0] == run.n and not site.tainted:
        return told(_g.gain(p.id, x.contiguous(), mean.contiguous(), rstd.contiguous(), y.contiguous(), run.n, 2, 0))
    with torch.no_grad():
        hat = (x.detach() - mean.view(channels)) * rstd.view(channels)
        return _summed(site, use, y, channels, hat)


def _of_parameters(node, depth=0, lookups=True):
    """Made of parameters alone, so that it knows nothing of samples. `lookups`: rows of a table looked up once for all are so, too."""
    if node is None or depth > 16:
        return False
    kind = kind_of(node)
    if kind == "AccumulateGrad":  # data may want a gradient, too
        return param_of(node.variable) is not None or isinstance(node.variable, torch.nn.Parameter)
    if kind == "Embedding":
        ids = peek(node, "indices")
        return lookups and ids is not None and (ids.dim() == 1 or ids.shape[0] == 1)
    below = [n for n, _ in node.next_functions]
    if not below or kind in PICKING or None in below and not (kind in ("Mul", "Div") and _by_a_number(node, below)):
        return False
    return all(n is None or _of_parameters(n, depth + 1, lookups) for n in below)


PICKING = {"", "Index", "IndexSelect", "Gather", "EmbeddingBag", "NativeDropout", "MaskedFill", "Where"}  # or of the trainer's own making


def _by_a_number(node, below):
    other = peek(node, "self" if below[0] is None else "other")
    return other is None or other.dim() == 0


MEASURES = {
    "Addmm": addmm, "Mm": mm, "Bmm": bmm, "Mv": mv, "Add": add, "Sub": add, "Mul": mul, "Expand": expand, "Repeat": repeat,
    "Prelu": prelu, "PreluKernel": prelu, "Convolution": convolution, "Embedding": embedding, "EmbeddingBag": embedding_bag,
    "NativeLayerNorm": layer_norm, "NativeGroupNorm": group_norm, "NativeBatchNorm": batch_norm, "CudnnBatchNorm": batch_norm,
}
WITH_BIAS = {("Addmm", 2), ("Convolution", 1), ("NativeLayerNorm", 1)}  # inputs that are measured with the bias of the same operation
REASONS = {"MkldnnRnnLayer": "recurrent", "CudnnRnn": "recurrent", "Miopenrnn": "recurrent", "CompiledFunction": "compiled"}
