# Which of the two leading dimensions of what a model is called with is the samples', by what the graph does with them.
#
# A graph that sums, averages, picks from or scans over one of the two mixes its rows before the loss is averaged: then the other one is the
# samples'. Without a sign in the graph the parameters are left out: that the first one mostly is the samples' is no knowledge.
LAYOUTS = {1: 0, 2: 1, 3: 0, 4: 1}  # as told: batch-first, time-major, interleaved, blocks -> run.axis


def decide_order(run, sizes):
    """Sets run.n and run.axis where the graph says it, and run.unsure where nobody can."""
    told = LAYOUTS.get(_g.layout_told())
    if told is not None:
        run.axis, run.blocks = told, told == 1
        if told == 1 and not _g.samples_told() and len(sizes) > 1:
            run.n = sizes[1]
        return
    if len(sizes) > 1 and sizes[1] > 1 and run.n > 1 and (_sequences(sizes) or _flattened(run, sizes)):
        _by_signs(run, sizes)
    recurrent = any(p.recurrent for p in run.params)  # which take their state apart as sequences end
    run.unsure = run.unsure or run.n > 1 and not recurrent and _parts_of_batch(run)


def _sequences(sizes):
    return len(sizes) == 3 and first_call["numbers"] or len(sizes) == 2 and not first_call["numbers"]


def _flattened(run, sizes):
    """A convolution has as many images as both dimensions together."""
    if len(sizes) < 4:
        return False
    rows = sizes[0] * sizes[1]
    for site in run.sites.values():
        if kind_of(site.node) == "Convolution":
            x = peek(site.node, "input")
            return x is not None and x.shape[0] == rows
    return False


def _by_signs(run, sizes):
    if any(p.hint is not None for p in run.params):
        return  # a layer says it
    if _g.samples_told() and sizes[0] != sizes[1] and run.n in sizes[:2]:
        run.axis = sizes[:2].index(run.n)
        run.other = sizes[1 - run.axis]
        return
    first, second = _signs(run, sizes)
    if second and not first and run.n == sizes[0]:
        run.axis = 0
    elif first and not second and run.n in ((sizes[1],) if _g.samples_told() else sizes[:2]):
        run.n, run.axis, run.other = sizes[1], 1, sizes[0]
    else:
        run.unsure = True


def _signs(run, sizes):
    """Whether operations mix the rows of the first of both dimensions, and of the second."""
    both, found, picked = tuple(sizes[:2]), [False, False], False
    for node in run.graph.nodes:
        kind = kind_of(node)
        picked = picked or kind in SCRAMBLING
        for dim in SIGNS[kind](node, both) if kind in SIGNS else ():
            if dim < 2:
                found[dim] = True
    for site in run.sites.values():
        rows, merged = _rows_of_site(site, sizes)
        if merged:
            found[1] = True
        elif both[0] != both[1] and not picked and rows in both:  # as many rows as one of them has: the other one is gone
            found[1 - both.index(rows)] = True
    return found


def _rows_of_site(site, sizes):
    """Rows of a product or images of a convolution; and whether all but the first dimension of the input have become features."""
    node, kind = site.node, kind_of(site.node)
    if kind == "Convolution":
        x = peek(node, "input")
        return (x.shape[0], tuple(x.shape) == tuple(sizes)) if x is not None else (0, False)
    if kind not in ("Addmm", "Mm"):
        return 0, False
    below = node.next_functions[1 if kind == "Addmm" else 0][0]
    whole = sizes if below is None else sizes_below(below) if kind_of(below) in VIEWS else None
    merged = whole is not None and len(whole) > 2 and tuple(whole[:2]) == tuple(sizes[:2]) \
        and saved_sizes(node, "mat1" if kind == "Addmm" else "self") == (whole[0], p_size(whole[1:]))
    return site.rows, merged


def _data(node):
    return not _of_parameters(node.next_functions[0][0])


def _mixed(node, both):
    """Of a tensor that still has both dimensions, or the one that is not mixed."""
    below = sizes_below(node)
    if below is None or len(below) < 2:
        return ()
    dims = _dims(node, len(below))
    if below[:2] == both or both[0] == both[1]:
        return dims if below[:2] == both else ()
    return [dim for dim in dims if dim < 2 and below[1 - dim] == both[1 - dim]]


def _transposed(node, both):
    """(a, b, heads, d) to (a, heads, b, d): what follows is a product for each a and head. Where a and b change places and are of one size,
    no later sign says which is meant."""
    dims = {signed(node._saved_dim0), signed(node._saved_dim1)}
    if dims in ({1, 2}, {0, 2}, {0, 1}) and _data(node):
        return (1,) if dims == {1, 2} else (0,) if dims == {0, 2} else (0, 1) if both[0] == both[1] else ()
    return ()


def _permuted(node, both):
    dims = [signed(d) for d in node._saved_dims]
    if len(dims) > 3 and 0 in dims and 1 in dims and _data(node):
        return (1,) if dims.index(0) < dims.index(1) else (0,)
    return (0, 1) if dims[:2] == [1, 0] and both[0] == both[1] and _data(node) else ()


def _batched(node, both):
    """A product for each of the first dimension."""
    x = peek(node, "self")
    if x is None or x.dim() != 3 or both[0] == both[1] and tuple(x.shape[:2]) != both:
        return ()
    return (1,) if tuple(x.shape[:2]) == both else (0,) if tuple(x.shape[:2]) == both[::-1] else ()


SIGNS = {"Transpose": _transposed, "Permute": _permuted, "Bmm": _batched}
SIGNS.update((kind, _mixed) for kind in ("Sum", "Mean", "Select", "Cumsum", "Amax", "Max", "Std", "Logsumexp"))


def _dims(node, ndim):
    dims = getattr(node, "_saved_dim", None)
    if dims is None:
        return ()
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    return [d + ndim if d < 0 else d for d in map(signed, dims)]


def _parts_of_batch(run):
    """Rows of the batch are taken apart by their place, as the two views of a sample or the better and the worse answer are: which rows
    meet again before the loss is not known."""
    for node in run.graph.nodes:
        kind = kind_of(node)
        if kind in PARTS:
            below = sizes_below(node)
            if below and below[0] in (run.n, run.n * max(run.other, 1)) and signed(node._saved_dim) in (0, -len(below)) \
                    and (kind != "Slice" or part_of(node, 0, below) != (0, 0, below[0])) and _data(node):
                return True
        elif kind in VIEWS:
            below, above = sizes_below(node), shape_of(node)
            if below and above and below[0] == run.n != above[0] and len(above) > 1 and above[0] * above[1] == run.n and above[1] > 1 < above[0] \
                    and _data(node):
                return True
    return False
