"""Reads a report's HTML as a program would: its tree, its numbers, and what its pictures show by their axes."""
import html.parser
import math
import re

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Node:
    def __init__(self, tag, attrs, parent):
        self.tag, self.attrs, self.parent, self.children = tag, dict(attrs), parent, []

    def all(self, tag=None, **want):
        for child in self.children:
            if isinstance(child, Node):
                if (tag is None or child.tag == tag) and all(child.attrs.get(k.replace("_", "-")) == v for k, v in want.items()):
                    yield child
                yield from child.all(tag, **want)

    def one(self, tag=None, **want):
        found = list(self.all(tag, **want))
        if len(found) != 1:
            raise AssertionError("%d of %s %s" % (len(found), tag, want))
        return found[0]

    def text(self):
        return "".join(c if isinstance(c, str) else c.text() for c in self.children)


class Tree(html.parser.HTMLParser):
    """Every tag must be closed by its own."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Node("", [], None)
        self.feed(text)
        self.close()
        if self.at is not self.root:
            raise AssertionError("<%s> is not closed" % self.at.tag)

    def handle_starttag(self, tag, attrs):
        node = Node(tag, attrs, self.at)
        self.at.children.append(node)
        if tag not in VOID:
            self.at = node

    def handle_startendtag(self, tag, attrs):
        self.at.children.append(Node(tag, attrs, self.at))

    def handle_endtag(self, tag):
        if tag != self.at.tag:
            raise AssertionError("</%s> in <%s>" % (tag, self.at.tag))
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)


class Picture:
    """An inline SVG with its axes: places back to numbers."""

    def __init__(self, svg):
        self.svg = svg
        self.left, self.top, self.width, self.height = map(float, svg.attrs["data-frame"].split())
        self.x_axis, self.y_axis = (svg.attrs["data-" + n].split() for n in "xy")

    @staticmethod
    def value(axis, place):
        lo, hi = float(axis[1]), float(axis[2])
        return lo * (hi / lo) ** place if axis[0] == "log" else lo + (hi - lo) * place

    def x(self, at):
        return self.value(self.x_axis, (at - self.left) / self.width)

    def y(self, at):
        return self.value(self.y_axis, 1 - (at - self.top) / self.height)

    def points(self, name):
        """Those of every line and dot of that name, left to right."""
        out = []
        for node in self.svg.all(data_name=name):
            if node.tag == "path":
                numbers = list(map(float, re.findall(r"-?[0-9.]+", node.attrs["d"])))
                out += list(zip(numbers[::2], numbers[1::2]))
            elif node.tag == "circle":
                out.append((float(node.attrs["cx"]), float(node.attrs["cy"])))
        return [(self.x(x), self.y(y)) for x, y in sorted(out)]

    def rects(self, name):
        return [{k: float(node.attrs[k]) for k in ("x", "y", "width", "height")} for node in self.svg.all("rect", data_name=name)]


def figures(section):
    return {f.attrs["data-figure"]: Picture(f.one("svg")) for f in section.all("figure") if "data-frame" in next(f.all("svg")).attrs}


def number(text):
    """1,340 -> 1340; 12.3M -> 12300000; - -> nan"""
    text = text.split(" [")[0].replace(",", "").strip("%≥ ")
    if text == "-":
        return math.nan
    return float(text[:-1]) * {"M": 1e6, "G": 1e9, "T": 1e12}[text[-1]] if text[-1] in "MGT" else float(text)
