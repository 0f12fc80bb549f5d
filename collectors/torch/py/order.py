# Which of the two leading dimensions of what a model is called with is the samples', by what the graph does with them.
#
# By convention it is the first. A graph that sums, averages, picks from or scans over one of the two mixes its rows before the loss is
# averaged: then the other one is the samples'. Where both are of one size, or were flattened to the rows of one operand, convention is no
# knowledge: without a sign in the graph the parameters are left out.
LAYOUTS = {1: 0, 2: 1, 3: 0, 4: 1}  # as told: batch-first, time-major, interleaved, blocks -> run.axis
MIXING = {"Sum": "dim", "Mean": "dim", "Select": "dim", "Cumsum": "dim", "Amax": "dim", "Max": "dim", "Std": "dim", "Logsumexp": "dim"}
JOINING = {"Slice", "Select", "Split", "SplitWithSizes", "UnsafeSplit", "UnsafeSplitWithSizes", "Unbind"}


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
    first, second = _signs(run, sizes)
    if second and not first and run.n == sizes[0]:
        run.axis = 0
    elif first and not second and not _g.samples_told():
        run.n, run.axis, run.other = sizes[1], 1, sizes[0]
    elif first and not second and run.n == sizes[1]:
        run.axis, run.other = 1, sizes[0]
    elif len(sizes) > 3 or sizes[0] == sizes[1]:
        run.unsure = True


def _signs(run, sizes):
    """Whether operations on tensors that begin with both dimensions mix the first of them, and the second."""
    both, found = tuple(sizes[:2]), [False, False]
    for node in run.graph.nodes:
        kind = kind_of(node)
        if kind in MIXING:
            below = sizes_below(node)
            if below is not None and below[:2] == both:
                for dim in _dims(node, len(below)):
                    if dim < 2:
                        found[dim] = True
        elif kind == "Transpose":
            dims = {signed(node._saved_dim0), signed(node._saved_dim1)}
            if dims == {1, 2} and not _of_parameters(node.next_functions[0][0]):
                found[1] = True
            elif dims == {0, 2} and not _of_parameters(node.next_functions[0][0]):
                found[0] = True
        elif kind == "Permute":
            dims = [signed(d) for d in node._saved_dims]
            if len(dims) > 3 and 0 in dims and 1 in dims:
                found[dims.index(0) < dims.index(1)] = True
        elif kind == "Bmm":
            x = peek(node, "self")
            if x is not None and tuple(x.shape[:2]) == both:
                found[1] = True
    return found


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
        if kind in JOINING:
            below = sizes_below(node)
            if below and below[0] in (run.n, run.n * max(run.other, 1)) and signed(node._saved_dim) in (0, -len(below)) \
                    and _is_part(node, kind, below[0]) and not _of_parameters(node.next_functions[0][0]):
                return True
        elif kind in VIEWS:
            below, above = sizes_below(node), shape_of(node)
            if below and above and below[0] == run.n != above[0] and len(above) > 1 and above[0] * above[1] == run.n and above[1] > 1 < above[0] \
                    and not _of_parameters(node.next_functions[0][0]):
                return True
    return False


def _is_part(node, kind, size):
    if kind != "Slice":
        return True
    first, last = signed(node._saved_start or 0), node._saved_end
    last = size if last is None else min(signed(last), size)
    return (first + size if first < 0 else first, last + size if last < 0 else last) != (0, size)
