# Terms of the loss that depend on parameters alone: L1 and L2 penalties, EWC, a proximal term. Their gradient r is the same
# for every sample, so it shifts the mean gradient and no difference between samples. With c_i what sample i of n adds to the gradient,
# G = sum of c_i + r, and r/n counted to each sample:   sum |c_i + r/n|^2 = sum |c_i|^2 + (2 r.G - |r|^2) / n
SHIFT = "Shift"  # the kind of such a use

ELEMENTWISE = {"Pow", "Abs", "Neg", "Sqrt", "Exp", "Log", "Sgn", "Sign", "Clamp", "ClampMin", "ClampMax", "Relu"}
LINKS = {"Add", "Sub", "Mul", "Div"}
FOLDS = {"Sum", "Mean", "Norm", "LinalgVectorNorm"}
GATHERS = {"Stack", "Cat", "Unsqueeze", "Squeeze"} | VIEWS
PURE = ELEMENTWISE | LINKS | FOLDS | GATHERS | WHOLE | TURNS


def shifts_only(graph, use, shape):
    """Whether what this use leads to meets no sample before it is a number that is added to the loss."""
    seen, todo = set(), [(use.node, use.index, False, False)]
    if not all(kind_of(node) in WHOLE | VIEWS for node, _ in use.chain):
        return False
    while todo:
        step = todo.pop()
        if step in seen:
            continue
        seen.add(step)
        node, index, folded, added = step
        after = _after(graph, node, index, folded, added, shape)
        if after is None or len(seen) > 256:
            return False
        todo += [(above, i) + after for above, i, _ in graph.users.get(node, ())]
        if not graph.users.get(node) and not after[0]:
            return False  # a root that is not one number
    return True


def _after(graph, node, index, folded, added, shape):
    """(folded to a number, added to samples' losses) behind this node; None where samples are met otherwise."""
    kind, below = kind_of(node), node.next_functions
    if kind in FOLDS:
        return (True, added) if folded or _all_of_it(node) else None
    if kind == "Neg" or kind in VIEWS and folded:
        return folded, added
    if kind in LINKS and len(below) == 2:
        return _linked(graph, node, kind, below[1 - index][0], folded, added, shape)
    if added:
        return None  # a loss that something else is done with
    if kind in ELEMENTWISE and all(b is None or i == index for i, (b, _) in enumerate(below)):
        return folded, False
    if kind in GATHERS and folded and all(_no_data(graph, b) for b, _ in below):
        return True, False
    return None


def _linked(graph, node, kind, other, folded, added, shape):
    if other is None:  # a constant
        if kind in ("Add", "Sub"):
            return (folded, added) if folded or _seen_shape(graph, node) == shape else None
        number = peek(node, "other" if node.next_functions[0][0] is not None else "self")
        fits = number is not None and (number.dim() == 0 or not folded and tuple(number.shape) == shape)
        return (folded, added) if fits else None  # packed away: it may be the samples
    if not added and _no_data(graph, other):
        return folded, False
    return (True, True) if kind in ("Add", "Sub") and folded else None


def _all_of_it(node):
    return getattr(node, "_saved_dim", None) in (None, ())


def _seen_shape(graph, node):
    """The shape of what a node made: where this PyTorch does not tell, an operation on it may."""
    shape = shape_of(node)
    for above, _, _ in graph.users.get(node, ()) if shape is None else ():
        operand = peek(above, "self") if hasattr(above, "_saved_self") else None
        return tuple(operand.shape) if operand is not None else sizes_below(above)
    return shape


def _no_data(graph, node, depth=0):
    """Made of parameters and numbers alone."""
    pure = graph.pure.get(node)
    if pure is None:
        kind = kind_of(node) if node is not None else ""
        if kind == "AccumulateGrad":
            pure = param_of(node.variable) is not None or isinstance(node.variable, torch.nn.Parameter)
        else:
            below = [b for b, _ in node.next_functions] if kind in PURE and depth < 64 else ()
            constant = None in below and kind in LINKS and not (kind in ("Mul", "Div") and _by_a_number(node, below))
            pure = bool(below) and not constant and all(b is None or _no_data(graph, b, depth + 1) for b in below)
        graph.pure[node] = pure
    return pure


def shift(site, use, y, grads):
    """Keeps r until the parameter's whole gradient is there (shifted)."""
    run, p = site.run, use.p
    r = grads[use.index].detach().reshape(p.shape)
    before = run.shifts.get(p)
    run.shifts[p] = r if before is None else before + r
    return ""


def shifted(run, p, gradient):
    """As the gradient of this pass arrives at the parameter."""
    r = run.shifts.pop(p, None)
    if r is None or p in run.failed:
        return
    with torch.no_grad():
        r, gradient = r.double(), gradient.detach().double()
        _g.shift(p.id, float((2 * r * gradient).sum() - (r * r).sum()) / run.n)


MEASURES[SHIFT] = shift
