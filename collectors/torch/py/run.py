# One backward pass of a measured step: from the graph, before it runs, to the hooks that look on, and to what they found.


class Site:
    """One operation that parameters enter, and the hook that looks on while it passes its gradient down."""

    __slots__ = ("run", "node", "uses", "lead", "rows", "tainted", "unpacked")

    def __init__(self, run, node):
        self.run = run
        self.node = node
        self.uses = []
        self.lead = None     # the dimensions that were flattened to the rows of a product
        self.rows = 0
        self.tainted = False # rows that were picked from the batch
        self.unpacked = ()   # what the engine was given for this node by hooks of the trainer's

    def lead_of(self, rows):
        """What the rows of a product were flattened from, or just their number."""
        lead = self.lead
        size = 1
        for s in lead or ():
            size *= s
        return lead if lead and size == rows else (rows,)

    def other_input(self, index):
        edges = self.node.next_functions
        return edges[1 - index][0] if len(edges) == 2 else None

    def saved(self, use, name, fits, nth=None):
        """A saved operand."""
        if self.unpacked:
            return pick(self.unpacked, self.run.tensors[use.p], fits, nth)
        if packing["told"] and packed(self.node, name):
            raise Unread  # by hooks of an earlier step, without ours
        return getattr(self.node, "_saved_" + name)

    def __call__(self, grads, outputs):
        run, y = self.run, outputs[0]
        if packing["seen"]:
            self.unpacked = done_unpacking()
        for use in self.uses:
            p = use.p
            if p in run.failed:
                continue
            try:
                reason = "unused" if y is None else MEASURES[use.kind](self, use, y, grads)
            except Unread:
                reason = "checkpoint"
            except Exception as error:
                reason = "operation"
                run.note("operation", "%s, %s" % (type(self.node).__name__, type(error).__name__))
            if reason:
                run.failed[p] = reason
        self.unpacked = ()


RETRIES, RETRY_EVERY = 3, 64  # a parameter that could not be measured is tried again, but not in every step


class Run:
    __slots__ = ("graph", "outer", "n", "axis", "other", "params", "tensors", "failed", "handles", "sites", "streams", "retain", "skipped",
                 "inner", "loss", "loss_there", "before", "unsure", "blocks", "shifts")

    def __init__(self, outer):
        self.outer = outer
        self.graph = None
        self.n = 0
        self.axis = 0
        self.blocks = False # rows of one sample are as far apart as there are samples
        self.unsure = False # nobody can say which rows are whose
        self.other = 0     # the dimension beside the samples', which is not theirs
        self.params = []
        self.tensors = {}  # Param -> its tensor, until the pass is over
        self.shifts = {}   # Param -> gradient of terms of the loss without samples
        self.failed = {}   # Param -> reason
        self.handles = []
        self.sites = {}    # node -> Site
        self.streams = set()
        self.retain = False
        self.skipped = False
        self.inner = set() # parameters that a backward inside this one (a reentrant checkpoint's) has reached
        self.loss = None
        self.before = None    # the innermost run of this thread before this one
        self.loss_there = ()  # the roots, where they are on a device

    def note(self, name, text):
        for stream in self.streams:
            _g.event(stream.id, name, text[:71])

    def begin(self, roots):
        self.graph = Graph(roots)
        todo = []
        for leaf in self.graph.leaves:
            tensor = leaf.variable
            p = param_of(tensor)
            if p is not None and _g.measuring(p.stream.id) and (p.id or p.enter(tensor)) and self._open(p, tensor):
                todo.append((p, leaf))
        if not self.params:
            return
        self.streams = {p.stream for p in self.params}
        named(self)
        uses = [(p, self.graph.uses(leaf, p.shape)) for p, leaf in todo]
        for p, found in uses:
            reason = self._declare(p, found)
            if reason:
                self.failed[p] = reason
        self._find_leads()
        decide_samples(self)
        several_lengths = of_several_lengths(self)
        for p, found in uses:
            if p not in self.failed:
                known_samples = self.n and not self.unsure and not (p.recurrent and several_lengths)
                reason = self._join(p, found) if known_samples else "samples"
                if reason:
                    self.failed[p] = reason
        for p in self.params:
            if p not in self.failed and p.left not in ("", "unused"):
                if p.fails >= RETRIES and p.fails % RETRY_EVERY:
                    self.failed[p] = p.left
                else:
                    p.leave("")
        tainted = tainted_nodes(self)
        for node, site in self.sites.items():
            site.tainted = node in tainted
            if packing["seen"]:
                self.handles.append(node.register_prehook(_g.hook(start_unpacking)))
            self.handles.append(node.register_hook(_g.hook(site)))

    def _open(self, p, tensor):
        """Whether this backward can be measured for a parameter; it is told of afterwards in any case."""
        reason = unfit(tensor, p.code)
        if reason:
            p.leave(reason)
            return False
        self.tensors[p] = tensor
        stream, fresh = p.stream, p.step != p.stream.step
        if fresh:
            p.step, p.n, p.spoiled, p.retained, p.leftover = stream.step, 0, False, False, False
        grad = tensor.grad
        there = grad is not None and grad.layout is torch.strided and device_of(grad) >= 0  # what is in it is not known here
        clean = grad is None or grad.layout is torch.strided and not there and (_zeroed(p, grad) or _g.is_zero(grad))
        if self._around(p):
            self.failed[p] = "tied"
            self.params.append(p)
            return False
        if clean and not fresh:
            if p.n and stream.closure:
                return False  # the closure's first evaluation counts
            _g.void(p.id)
            p.n, p.spoiled, p.retained, p.leftover = 0, False, False, False
        elif fresh and not clean and not there:
            p.spoiled = p.leftover = True
        elif there and (told(at_device(grad, _g.before, p.id)) if fresh else p.version != version_of(grad)):
            p.spoiled = True  # to be zero, as the device will tell, or as the last pass has left it
        if p.spoiled:
            return False
        self.params.append(p)
        if p.retained:
            self.failed[p] = "tied"
            return False
        return True

    def _around(self, p):
        """A backward around this one reaches the same parameter, or another inside it has: these uses belong together."""
        outer = self.outer
        while outer is not None:
            if p in outer.params:
                outer.failed[p] = "tied"
                return True
            if p in outer.inner:
                return True
            outer = outer.outer
        return False

    def _declare(self, p, uses):
        """Makes the sites of a parameter's uses; "" or why it has to be left out."""
        if uses is None:
            return "tied"
        for use in uses:
            use.p = p
            if shifts_only(self.graph, use, p.shape):
                if device_of(self.tensors[p]) >= 0:
                    return "operation"
                use.kind = SHIFT
            if use.kind not in MEASURES:
                return self._unknown(use)
        if any(use.kind == SHIFT for use in uses):
            self.handles.append(self.tensors[p].register_hook(_g.hook(functools.partial(shifted, self, p))))
        for use in uses:
            self._site(use)
        return ""

    def _join(self, p, uses):
        """Uses that share elements of the parameter add up before they are squared."""
        uses = [use for use in uses if use.kind != SHIFT]
        if len(uses) < 2:
            return ""
        found = [region_of(p, use) for use in uses]
        if apart(found):
            return ""
        if any(region is not None for region in found) or any(turned(use) is None for use in uses):
            return "tied"
        if any(use.kind == "Sub" for use in uses):
            return "tied"
        rest = 1
        for size in p.shape[1:]:
            rest *= size
        there = (self.tensors[p],) if device_of(self.tensors[p]) >= 0 else ()
        return told(_g.uses(p.id, len(uses), self.n, p.shape[0] if p.shape else 1, rest, *there)) and "tied"

    def _unknown(self, use):
        name = type(use.node).__name__
        reason = REASONS.get(use.kind or name[:-8], "operation")
        if reason == "operation":
            self.note(reason, name)
        return reason

    def _site(self, use):
        site = self.sites.get(use.node)
        if site is None:
            site = self.sites[use.node] = Site(self, use.node)
        if (use.kind, use.index) in WITH_BIAS:
            site.uses.insert(0, use)  # its bias is measured with it
        else:
            site.uses.append(use)
        if use.kind == "Embedding":
            self._lookup(use)

    def _lookup(self, use):
        """Positions are looked up once and added to every sample: the sum is where the samples still are apart."""
        if packed(use.node, "indices"):
            return
        above = self.graph.uses(use.node)
        if above and len(above) == 1 and above[0].kind in ("Add", "Sub", "Expand") and not use.chain:
            there = above[0]
            there.p, there.lookup = use.p, use
            self._site(there)

    def _find_leads(self):
        """The rows of a product mostly are flattened dimensions: the view under its operand or over its result tells which."""
        for node, site in list(self.sites.items()):
            kind = kind_of(node)
            if kind == "Addmm":
                site.rows = rows_of(node, "mat1")
                self._find_lead(site, node.next_functions[1][0])
            elif kind == "Mm":
                site.rows = rows_of(node, "self")
                self._find_lead(site, node.next_functions[0][0])

    def _find_lead(self, site, below):
        if below is not None and kind_of(below) in VIEWS:
            site.lead = unflattened(sizes_below(below), site.rows)
            return
        for above, _, _ in self.graph.users.get(site.node, ()):
            if kind_of(above) in VIEWS:
                sizes = shape_of(above)
                if sizes is None:
                    self.handles.append(above.register_hook(_g.hook(functools.partial(_note_lead, site))))
                site.lead = unflattened(sizes, site.rows)
                return

    def end(self, failed):
        self.release()
        for p in self.params:
            reason = self.failed.get(p)
            grad = self.tensors[p].grad
            if failed or self.skipped:
                _g.void(p.id)
                p.spoiled = True
            elif grad is None:
                self._lose(p, "user_hook")
            elif grad.layout is not torch.strided:
                self._lose(p, "sparse")
            elif reason:
                self._lose(p, reason)
            else:
                p.reached, p.fails = True, 0
                p.leave("")
                p.n += self.n
                p.retained = self.retain
                _g.used(p.id, self.n)
                if device_of(grad) >= 0:
                    p.version = version_of(grad)
                    reason = told(at_device(grad, _g.grad, p.id, world_of(p)))
                    if reason:
                        self._lose(p, reason)
                else:
                    _g.grad(p.id, grad, world_of(p))
        self.tensors, self.shifts = {}, {}
        if self.outer is not None:
            self.outer.inner.update(self.params, self.inner)
            self.outer.streams |= self.streams

    def _lose(self, p, reason):
        p.fails += 1
        p.leave(reason)
        p.spoiled = True
        _g.void(p.id)

    def release(self):
        """Breaks every tie to the graph, so that it goes when the trainer lets go of it."""
        for handle in self.handles:
            handle.remove()
        for site in self.sites.values():
            site.node = site.run = None
            site.uses = ()
        self.handles, self.sites, self.graph = [], {}, None


def at_device(tensor, function, number, *more):
    """function(number, tensor, ...) while the tensor's device is this thread's, as it is in an operation's own thread."""
    if "devices" not in era:
        era["devices"] = torch.cuda.device_count()
    if era["devices"] < 2 or torch.cuda.current_device() == tensor.get_device():
        return function(number, tensor, *more)
    with torch.cuda.device(tensor.get_device()):
        return function(number, tensor, *more)


def _zeroed(p, grad):
    """Nothing was written to it since zero_grad()."""
    return p.zeroed is not None and p.zeroed == (version_of(grad), grad.data_ptr()) and p.zeroed[0] is not None


def version_of(tensor):
    """Raised by whatever writes to a tensor; not by what writes to its .data."""
    return None if tensor.is_inference() else tensor._version


def _note_lead(site, grads, outputs):
    if outputs[0] is not None:
        site.lead = unflattened(tuple(outputs[0].shape), site.rows)


def rows_of(node, operand):
    """Rows of a product, from the shape it keeps of its left operand."""
    sizes = saved_sizes(node, operand)
    return int(sizes[0]) if sizes else 0


def unflattened(sizes, rows):
    """The dimensions of `sizes` that `rows` rows were flattened from; the last may be a part of one, as heads are."""
    lead, size = [], 1
    for s in sizes or ():
        if not s or rows % (size * s):
            break
        lead.append(s)
        size *= s
    if size < rows:
        lead.append(rows // size)
    return tuple(lead)
