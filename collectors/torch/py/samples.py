# How many samples a backward pass is of, and in which dimension of the model's input they are.
#
# Told by the user, or the leading dimension of what the trainer hands to its model: that call is waited for, once in a
# measured pass, with nn.Module's __call__ exchanged until it comes. Without either, what the first operations saw.
# Others exchange it too, for as long as they trace a model: then theirs stays, and ours is taken out when it is back.
first_call = {"sizes": None, "numbers": False, "samples": 0, "wanted": False, "original": None, "ours": None, "never": False}


def expect_first_call():
    first_call["sizes"], first_call["samples"] = None, 0
    first_call["wanted"] = _g.any_measuring() and not first_call["never"] and not _compiling()
    present = torch.nn.Module.__dict__.get("__call__")
    if first_call["wanted"] and present is not None and present is not first_call["ours"]:
        if present is not first_call["original"]:
            first_call["original"], first_call["ours"] = present, _g.wrap(present, _before_call, None)
        torch.nn.Module.__call__ = first_call["ours"]


def forget_first_call():
    first_call["wanted"] = False
    if first_call["ours"] is not None and torch.nn.Module.__dict__.get("__call__") is first_call["ours"]:
        torch.nn.Module.__call__ = first_call["original"]


def _before_compile(args, kwargs):
    """torch.compile takes nn.Module's __call__ for a plain function."""
    first_call["never"] = True
    forget_first_call()


if hasattr(torch, "compile"):
    torch.compile = _g.wrap(torch.compile, _before_compile, None)


def _compiling():
    """torch.compile looks at nn.Module's methods, and compiles anew when they change."""
    utils = sys.modules.get("torch._dynamo.utils")
    try:
        return bool(utils and utils.counters["frames"]["total"])
    except Exception:
        return True


def _before_call(args, kwargs):
    if not first_call["wanted"] or not args or not torch.is_grad_enabled() or not any(param_of(p) for p in args[0].parameters()):
        return
    forget_first_call()
    for value in args[1:] + tuple(kwargs.values()):
        if _note_input(value):
            return
        if isinstance(value, dict) and any(_note_input(v) for v in value.values()):
            return


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
    """Sets run.n, run.axis (of the model's input: 0, 1, or None where both dimensions are of that size) and run.other."""
    if run.outer is not None and run.outer.n:
        run.n, run.axis, run.other = run.outer.n, run.outer.axis, run.outer.other
        return
    sizes = first_call["sizes"] or ()
    sequence = sizes[1] if len(sizes) == 2 and not first_call["numbers"] or len(sizes) == 3 else 0
    time_major = any(p.time_major for p in run.params)
    run.n = _g.samples_told() or (_seen_inside(run) if time_major else first_call["samples"] or _guess(run))
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
        if size > 1:
            votes[size] = votes.get(size, 0) + 1
    if votes:
        return max(votes, key=votes.get)
    rows = [site.rows for site in run.sites.values() if site.rows]
    return min(rows) if rows else 0


def _leading(node, name, least):
    operand = peek(node, name)
    return operand.shape[0] if operand is not None and operand.dim() >= least else 0
