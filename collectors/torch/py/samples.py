# How many samples a backward pass is of, and in which dimension of the model's input they are.
#
# Told by the user, or the leading dimension of what the trainer hands to its model: that call is waited for, once in a measured pass,
# by an entry in the table of global hooks that is gone again when it has come. Without either, what the first operations saw.
first_call = {"sizes": None, "numbers": False, "samples": 0, "wanted": False, "never": False, "hook": None,
              "module": None}  # a weak reference to what was called
OURS = "gnscope"  # the key of the entry


def _hooks():
    return getattr(torch.nn.modules.module, "_global_forward_pre_hooks", None)


def expect_first_call():
    first_call["sizes"], first_call["samples"] = None, 0
    hooks = _hooks()
    if hooks is None or first_call["never"] or not (waiting or _g.any_measuring()) or _compiling():
        return
    if first_call["hook"] is None:
        first_call["hook"] = _g.hook(_before_call)
    first_call["wanted"] = True
    hooks[OURS] = first_call["hook"]


def forget_first_call():
    if first_call["wanted"]:
        first_call["wanted"] = False
        hooks = _hooks()
        if hooks is not None:
            hooks.pop(OURS, None)


def _compiling():
    """What is compiled looks for global hooks, warns of them, and would take ours in."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    if frames is None:
        return False
    backends = getattr(frames, "cached_backends", None)
    return backends is None or any(b for b in backends.values())


def _before_compile(args, kwargs):
    first_call["never"] = True
    forget_first_call()


def watch_compiler():
    """Whatever compiles from now on finds no hook of ours: torch.compile, Module.compile and torch.export make such a context."""
    context = getattr(sys.modules.get("torch._dynamo.eval_frame"), "_TorchDynamoContext", None)
    if context is None:
        if hasattr(torch, "compile"):
            original, torch.compile = torch.compile, _g.wrap(torch.compile, _before_compile, None)
            undo.append(functools.partial(setattr, torch, "compile", original))
        return
    made = context.__init__

    @functools.wraps(made)
    def init(self, *args, **kwargs):
        if callable(args[0] if args else kwargs.get("callback")):
            _before_compile(args, kwargs)
        return made(self, *args, **kwargs)

    context.__init__ = init
    undo.append(functools.partial(setattr, context, "__init__", made))


watch_compiler()


def _before_call(module, args):
    if not torch.is_grad_enabled() or not any(param_of(p) for p in module.parameters()):
        return
    if waiting:
        number_streams()
    first_call["module"] = weakref.ref(module)
    for value in tuple(args) + _named_inputs():
        if _note_input(value) or isinstance(value, dict) and any(_note_input(v) for v in value.values()):
            forget_first_call()
            return


def _named_inputs():
    """A global hook is not shown what goes by name; the function of nn.Module that calls it has it."""
    named = sys._getframe(2).f_locals.get("kwargs")
    return tuple(named.values()) if isinstance(named, dict) else ()


def _note_input(value):
    if isinstance(value, torch.Tensor):
        if value.dim():
            first_call["sizes"] = tuple(value.shape)
            first_call["samples"] = value.shape[0]
            first_call["numbers"] = value.is_floating_point()
        return value.dim() > 0
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        first_call["sizes"] = None
        first_call["samples"] = int(value.batch_sizes[0])
        return True
    return False


def decide_samples(run):
    """Sets run.n, run.axis (of the model's input: 0, 1, or None where both dimensions are of that size), run.other, run.unsure and run.blocks."""
    if run.outer is not None and run.outer.n:
        run.n, run.axis, run.other = run.outer.n, run.outer.axis, run.outer.other
        run.unsure, run.blocks = run.outer.unsure, run.outer.blocks
        return
    sizes = first_call["sizes"] or ()
    sequence = sizes[1] if len(sizes) == 2 and not first_call["numbers"] or len(sizes) == 3 else 0
    time_major = any(p.time_major for p in run.params)
    run.n = _g.samples_told() or (_seen_inside(run) if time_major else first_call["samples"] or _guess(run))
    _decide_axis(run, sizes, sequence, time_major)
    if not time_major:
        decide_order(run, sizes)


def _decide_axis(run, sizes, sequence, time_major):
    if not sizes or run.n not in sizes[:2]:
        run.axis = None if time_major else 0
        return
    if sizes[0] == run.n != sequence:
        run.axis, run.other = 0, sequence
    elif sequence == run.n != sizes[0]:
        run.axis, run.other = 1, sizes[0]
    else:
        run.axis = None if time_major and sequence == run.n else 0


def _seen_inside(run):
    """The samples as recurrent and attention layers see them, whose own dimensions are (time, samples) whatever the model's are."""
    for site in run.sites.values():
        if site.lead and len(site.lead) > 1 and any(use.p.hint == 1 for use in site.uses):
            return site.lead[1]
    for node in run.graph.nodes:
        if kind_of(node) == "MkldnnRnnLayer":
            x = peek(node, "input")
            return x.shape[1] if x is not None and x.dim() == 3 else 0
    return max((site.rows for site in recurrent_sites(run)), default=0)


def recurrent_sites(run):
    """The products of a recurrent layer's state, one for each moment, which have as many rows as there are samples then."""
    return [site for site in run.sites.values() if any(use.p.recurrent == 2 for use in site.uses)]


def of_several_lengths(run):
    """Packed sequences: fewer samples from moment to moment."""
    return any(site.rows < run.n for site in recurrent_sites(run))


def _guess(run):
    votes = {}
    for site in run.sites.values():
        kind, size = kind_of(site.node), 0
        if kind == "Convolution":
            size = _leading(site.node, "input", 3)
        elif kind == "Embedding":
            size = _leading(site.node, "indices", 2)
        elif site.lead and len(site.lead) > 1:
            size = site.lead[0]
        if size:
            votes[size] = votes.get(size, 0) + 1
    if len(votes) > 1:
        votes.pop(1, None)  # a table of positions is looked up once for all
    if votes:
        return max(votes, key=votes.get)
    rows = [site.rows for site in run.sites.values() if site.rows]
    return min(rows) if rows else 0


def _leading(node, name, least):
    operand = peek(node, name)
    return operand.shape[0] if operand is not None and operand.dim() >= least else 0
