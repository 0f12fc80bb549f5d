"""The reference pages against the program: every JSON key and every variable that is there is on its page."""
import re

from harness import *

JSON = open(os.path.join(SOURCE, "docs/reference/json.md")).read()
ENVIRONMENT = open(os.path.join(SOURCE, "docs/reference/environment.md")).read()
NAMED = set(re.findall(r"`([\w.]+)`", JSON))
OF_NO_INTEREST = {"HOME", "PATH", "LD_PRELOAD"}
ENTRIES = {"families_ms", "phases_ms"}  # keys of these objects are names of the run

db = generate("--store", "PATH", "--steps", "900", "--layers", "3", "--warnings", "--torch", "--streams", "2", "--device", "--ranks", "2")


def part_of_a_step(key):
    """compute_ms_lo, comm_share: the page has the part's name alone."""
    part = re.fullmatch(r"(compute|comm_exposed|copy_exposed|idle|comm|copy|gnscope)_(ms|share)", key)
    return part and part[1] in NAMED


def missing(value, found):
    if isinstance(value, list):
        for item in value:
            missing(item, found)
    elif isinstance(value, dict):
        for key, item in value.items():
            base = re.sub(r"_(lo|hi)$", "", key)
            if not (key in NAMED or base in NAMED or part_of_a_step(base)):
                found.add(key)
            if key not in ENTRIES:
                missing(item, found)
    return found


def keys_are_on_the_page(*args):
    answer = gnscope(*args, "--store", db)
    equal(answer.returncode, 0, "%s: %s" % (args, answer.stderr.decode()))
    value = json.loads(answer.stdout)
    equal(missing(value, set()), set(), "keys of %s that are not in docs/reference/json.md" % (args,))
    return value


@test
def json_keys_are_on_the_page():
    if not db:
        return
    it = keys_are_on_the_page("show", "--json", "--layers")
    for key in ("layers", "devices", "warnings", "device_kernels"):
        equal(bool(it[key]), True, key + " of the stored run")
    keys_are_on_the_page("list", "--json")
    keys_are_on_the_page("advise", "--json", "--batch", "512")
    keys_are_on_the_page("report", "-o", "-", "--format", "json")
    for view in ("now", "tradeoff", "layers", "kernels", "runs", "health"):
        keys_are_on_the_page("top", "--once", "--json", "--view", view)


@test
def keys_in_the_source_are_on_the_page():
    """Also those that no stored run here has: of fit and sweep."""
    found = set()
    for name in os.listdir(os.path.join(SOURCE, "profiler/cli")):
        if name.endswith(".c"):
            text = open(os.path.join(SOURCE, "profiler/cli", name)).read()
            found |= set(re.findall(r'json_object_set_new\(\w+, "(\w+)"', text))
            found |= set(re.findall(r'(?:set_interval|gns_json_limits|gns_ratio_json|set)\(o, "(\w+)"', text))
    found = {re.sub(r"_(lo|hi)$", "", key) for key in found}
    equal(found - NAMED, set(), "keys in profiler/cli that are not in docs/reference/json.md")
    equal(len(found) > 100, True, "that keys were found in the source")


@test
def prose_that_breaks_a_rule_is_named_by_file_and_line():
    root = os.path.join(folder, "prose")
    os.makedirs(os.path.join(root, "docs"))
    good = "# A page\n\nShort. [Here](docs/b.md#two-words), [there](#a-page).\n\n| " + "wide " * 40 + "|\n|---|\n\n    " + "code " * 40 + "\n"
    bad = "\n" + "long " * 25 + "\n\n[gone](nowhere.md) and [no part](../a.md#nothing)\n\n## Two words\n\nIn `store/gone.c`, not docs/b.md.\n"
    for name, text in (("a.md", good), ("docs/b.md", bad)):
        with open(os.path.join(root, name), "w") as page:
            page.write(text)
    answer = subprocess.run([sys.executable, os.path.join(SOURCE, "scripts/check-prose"), "--root", root], stdout=subprocess.PIPE)
    equal(answer.returncode, 1, "status")
    equal(answer.stdout.decode().splitlines(), [
        "docs/b.md:2: 125 columns of prose, more than 120",
        "docs/b.md:4: the link to nowhere.md leads nowhere",
        "docs/b.md:4: ../a.md has no heading for #nothing",
        "docs/b.md:8: there is no store/gone.c"], "what is said")


@test
def variables_are_on_the_page():
    found = set()
    for top in ("profiler", "collectors", "store", "tui"):
        for where, _, names in os.walk(os.path.join(SOURCE, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    text = open(os.path.join(where, name)).read()
                    found |= set(re.findall(r'getenv\("(\w+)"\)', text)) | set(re.findall(r'"(GNSCOPE_[A-Z_]+)"', text))
                    if name == "config.c" and where.endswith("process"):
                        found |= set(re.findall(r'"([A-Z][A-Z_a-z]{3,})"[,)]', text))
    named = set(re.findall(r"`(\w+)`", ENVIRONMENT))
    equal(found - OF_NO_INTEREST - named, set(), "variables that are not in docs/reference/environment.md")
    equal({n for n in named if n.startswith("GNSCOPE_")} - found, set(), "variables on the page that nothing reads")


@test
def commands_on_the_pages_have_these_options():
    """Each `gnscope COMMAND --option` of a code block, up to the training program's own command."""
    helps, seen = {}, 0
    for top in (".", "docs", "docs/guides", "docs/reference"):
        for name in sorted(os.listdir(os.path.join(SOURCE, top))):
            if not name.endswith(".md"):
                continue
            path = os.path.join(top, name)
            text = open(os.path.join(SOURCE, path)).read().replace("\\\n", " ")
            for line in re.findall(r"(?m)^ {4,}(?:\S+=\S+ )*gnscope ([a-z].*)$", text) + re.findall(r"`gnscope ([a-z][^`\n]*)`", text):
                command, *words = re.split(r" # | && | \| ", line)[0].split()
                if command not in helps:
                    answer = gnscope(command, "--help")
                    equal(answer.returncode, 0, "%s: gnscope %s" % (path, command))
                    helps[command] = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", answer.stdout.decode()))
                for word in words[:words.index("--")] if "--" in words else words:
                    option = re.match(r"-{1,2}[a-z][a-z-]*", word)
                    if option and option[0] not in helps[command] | {"--help"}:
                        raise AssertionError("%s: gnscope %s has no option %s" % (path, command, option[0]))
                seen += 1
    equal(seen > 50, True, "that commands were found")


@test
def functions_of_the_pytorch_collector_are_on_the_page():
    page = open(os.path.join(SOURCE, "docs/internals/pytorch-functions.md")).read()
    found, where = set(), os.path.join(SOURCE, "collectors/torch")
    for name in os.listdir(where):
        if name.endswith(".c"):
            found |= set(re.findall(r"\b(?:FAST|BARE)\((\w+)\)", open(os.path.join(where, name)).read()))
    found.discard("name")
    equal(len(found) > 40, True, "that functions were found in the source")
    equal({name for name in found if "`%s(" % name not in page}, set(), "functions that are not on the page")


main()
