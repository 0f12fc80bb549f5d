"""The embedded files as code objects of the Python that runs this, marshalled, in a C file: embed.py OUTPUT FILE.py ...

Another Python compiles their texts (collectors/torch/entry.c)."""
import importlib.util
import marshal
import os
import sys


def code(path):
    with open(path, encoding="utf-8") as f:
        return compile(f.read(), "<gnscope>/" + os.path.basename(path), "exec", dont_inherit=True)


def main(output, paths):
    data = marshal.dumps(tuple(code(path) for path in paths))
    magic = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")
    lines = [",".join("0x%02x" % b for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    with open(output, "w", encoding="ascii") as f:
        f.write('#include "collectors/torch/torch.h"\n\nstatic const unsigned char data[] = {\n%s\n};\n' % ",\n".join(lines))
        f.write("const struct gns_torch_code gns_torch_code = { 0x%xl, data, sizeof data };\n" % magic)


main(sys.argv[1], sys.argv[2:])
