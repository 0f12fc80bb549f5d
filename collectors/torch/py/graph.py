# The graph of a loss, from its roots to the parameters, and which operation uses which parameter.


class Use:
    """One operation that a parameter enters: at input `index` of `node`, through the `chain` of (node, its output) from
    the parameter upwards, each of which passes a gradient's elements on as they are."""

    __slots__ = ("node", "index", "chain", "kind", "p", "done", "lookup")

    def __init__(self, node, index, chain, kind):
        self.node = node
        self.index = index
        self.chain = chain
        self.kind = kind
        self.p = None
        self.done = False    # an operation further up has already told all there is to tell
        self.lookup = None   # the embedding's node, where this is what its rows are added to


WHOLE = {"ToCopy", "Clone", "Alias", "Contiguous", "Copy"}                      # the same shape
VIEWS = {"View", "UnsafeView", "ReshapeAlias", "Reshape"}                       # the same elements in the same order
TURNS = {"T", "Transpose", "Permute", "Squeeze", "Unsqueeze"} | VIEWS          # the same elements
PARTS = {"Slice", "Select", "Split", "SplitWithSizes", "UnsafeSplit", "UnsafeSplitWithSizes", "Unbind"}
PASSING = WHOLE | TURNS | PARTS

_kinds = {}  # type of a node -> its kind


def kind_of(node):
    """"Addmm" for an AddmmBackward0; "" for a function that was written in Python, whatever its name."""
    t = type(node)
    kind = _kinds.get(t)
    if kind is None:
        name = t.__name__.rstrip("0123456789")
        own = t.__module__ == "builtins" and not issubclass(t, torch._C._FunctionBase)
        kind = _kinds[t] = (name[:-8] if name.endswith("Backward") else name) if own else ""
    return kind


class Graph:
    __slots__ = ("nodes", "users", "leaves", "pure")

    def __init__(self, roots):
        self.nodes = nodes = list(dict.fromkeys(roots))
        self.users = users = {}  # node -> [(node above it, that one's input, this one's output)]
        self.leaves = []
        self.pure = {}  # node -> whether it is made of parameters and numbers alone, as far as somebody asked
        for node in nodes:
            index = 0
            for below, output in node.next_functions:
                if below is not None:
                    above = users.get(below)
                    if above is None:
                        users[below] = [(node, index, output)]
                        nodes.append(below)
                    else:
                        above.append((node, index, output))
                index += 1
        for node in nodes:
            if kind_of(node) == "AccumulateGrad":
                self.leaves.append(node)

    def uses(self, leaf, shape=None, limit=4096):
        """All Uses of a leaf, or None where there are too many to follow."""
        found, todo = [], [(leaf, ())]
        while todo:
            below, chain = todo.pop()
            for node, index, output in self.users.get(below, ()):
                kind = kind_of(node)
                passed = chain + ((below, output),) if chain or below is not leaf else ()
                if kind in PASSING or kind == "Add" and not chain and _plus_constant(node, index, shape):
                    todo.append((node, passed))
                else:
                    found.append(Use(node, index, passed, kind))
            if len(found) + len(todo) > limit:
                return None
        return found


def _plus_constant(node, index, shape):
    """1 + w: nothing that asks for a gradient is added, nor anything larger. Only where PyTorch tells shapes."""
    return index == 0 and len(node.next_functions) == 2 and node.next_functions[1][0] is None and shape_of(node) == shape


def signed(value):
    """Some saved dimensions are shown as unsigned numbers."""
    return value - (1 << 64) if value >= 1 << 63 else value


def saved_sizes(node, operand):
    """The shape that a node keeps of one of its operands; None: it keeps none."""
    sizes = getattr(node, "_saved_%s_sym_sizes" % operand, None)
    if sizes is None:
        sizes = getattr(node, "_saved_%s_sizes" % operand, None)
    return None if sizes is None else tuple(sizes)


def sizes_below(node):
    """The shape that a view or a part was made from."""
    return saved_sizes(node, "self")


def shape_of(node, output=0):
    """The shape of what a node made, where this PyTorch tells; None elsewhere."""
    told = getattr(node, "_input_metadata", None)
    return tuple(told[output].shape) if told and output < len(told) else None


def part_of(node, output, shape):
    """(dimension, first, last + 1) of the part of `shape` that a node of PARTS takes; None: not told."""
    kind, dim = kind_of(node), signed(node._saved_dim)
    dim += len(shape) if dim < 0 else 0
    size = shape[dim]
    if kind == "Unbind":
        return dim, output, output + 1
    if kind == "Select":
        index = signed(node._saved_index)
        index += size if index < 0 else 0
        return dim, index, index + 1
    if kind == "Slice":
        first, last = signed(node._saved_start or 0), node._saved_end
        last = size if last is None else min(signed(last), size)
        first, last = first + (size if first < 0 else 0), last + (size if last < 0 else 0)
        return (dim, first, last) if node._saved_step == 1 else None
    if kind in ("Split", "UnsafeSplit"):
        step = node._saved_split_size
        return dim, output * step, min(size, (output + 1) * step)
    steps = tuple(node._saved_split_sizes)
    first = sum(steps[:output])
    return dim, first, first + steps[output]


def region_of(p, use):
    """The part of the parameter that a use takes: None for all of it, False where that is not plain."""
    region, own = None, True
    for node, output in use.chain:
        kind = kind_of(node)
        if kind in WHOLE:
            continue
        if kind in PARTS:
            region = own and part_of(node, output, p.shape)
            if not region:
                return False
        own = False
    return region


def apart(found):
    """No two of these parts share an element."""
    if any(not r for r in found) or len({r[0] for r in found}) != 1:
        return False
    spans = sorted((first, last) for _, first, last in found)
    return all(a[1] <= b[0] for a, b in zip(spans, spans[1:]))


def turned(use):
    """Whether an even (False) or odd (True) number of transpositions lies between a matrix and its use; None: more than that."""
    odd = False
    for node, _ in use.chain:
        kind = kind_of(node)
        if kind in ("T", "Transpose"):
            odd = not odd
        elif kind not in WHOLE:
            return None
    return odd
