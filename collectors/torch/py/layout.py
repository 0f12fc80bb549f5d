# Where the samples are: which dimension of an operand is theirs, and views of it in which they come first or second.
GROUPS, ROUND = 2, 3  # rows of one sample are neighbours; row r is of sample r % n


def place(run, lead, hint, tainted=False):
    """Where the n samples are in the leading dimensions of an operand: 0, 1, GROUPS, ROUND, or None where that is not sure."""
    n = run.n
    first = lead[0] if lead else 0
    second = lead[1] if len(lead) > 1 else 0
    if n == 1 and first:
        return GROUPS
    if first == n:
        if second == n:
            return run.axis if hint is None else hint
        # As many rows as samples by chance, or, after a packed sequence, the samples' last states.
        return None if tainted and not second and not any(p.recurrent for p in run.params) else 0
    if second == n:
        return 1
    if tainted or not first or first % n or first == run.other:
        return None
    if second:
        return ROUND if run.blocks else GROUPS
    return {0: GROUPS, 1: ROUND}.get(run.axis if hint is None else hint, GROUPS)


def arrange(t, where, n):
    """A view of t with the samples in dimension 0 or 1, and which."""
    if where == GROUPS:
        return t.view((n, t.shape[0] // n) + tuple(t.shape[1:])), 0
    if where == ROUND:
        return t.view((t.shape[0] // n, n) + tuple(t.shape[1:])), 1
    return t, where


def samples_first(t, where, n):
    t, axis = arrange(t, where, n)
    return t.transpose(0, 1) if axis == 1 else t


SCRAMBLING = {"Index", "IndexSelect", "Gather", "MaskedSelect", "Sort", "Cat", "Take", "TopK", "Topk", "Roll", "Flip"}
RESTORING = {"IndexPut", "IndexAdd", "IndexCopy", "Scatter", "ScatterAdd", "ScatterReduce", "MaskedScatter", "Where"}


def tainted_nodes(run):
    """The nodes whose rows were picked from the batch or put back into it, so that their number says nothing of samples."""
    graph, found = run.graph, set()
    pickers = [node for node in graph.nodes if kind_of(node) in SCRAMBLING and _scrambles(run, node)]
    restorers = [node for node in graph.nodes if kind_of(node) in RESTORING and kind_of(node) != "Where"]
    if not pickers and not restorers:
        return found
    stop = set(pickers)
    todo = pickers[:]
    while todo:  # upwards, to where rows are put back
        for above, _, _ in graph.users.get(todo.pop(), ()):
            if above not in found and kind_of(above) not in RESTORING:
                found.add(above)
                todo.append(above)
    todo = [below for node in restorers if _restores_rows(node) for below, _ in node.next_functions[1:]]
    while todo:  # downwards, to where they were picked
        node = todo.pop()
        if node is None or node in found or node in stop or kind_of(node) in RESTORING:
            continue
        found.add(node)
        todo.extend(below for below, _ in node.next_functions)
    return found


def _restores_rows(node):
    if kind_of(node) == "IndexPut":
        indices = peek(node, "indices")
        return not indices or indices[0] is not None
    return signed(getattr(node, "_saved_dim", 0)) == 0


def _scrambles(run, node):
    kind = kind_of(node)
    if kind == "Index":
        indices = peek(node, "indices")
        return not indices or indices[0] is not None and not _each_once(run, indices[0])
    if kind == "IndexSelect":
        return signed(node._saved_dim) == 0 and not _each_once(run, peek(node, "index"))
    return signed(getattr(node, "_saved_dim", 0)) == 0


def _each_once(run, index):
    """Picking every sample once, in whatever order, leaves a sample's row a sample's row."""
    if index is None or index.dim() != 1 or index.shape[0] != run.n or index.dtype != torch.int64 or device_of(index) >= 0:
        return False
    with torch.no_grad():
        return torch.unique(index).shape[0] == run.n
