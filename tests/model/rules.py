"""Reads a model: see the head of world.rules for the notation."""

import re

TOKEN = re.compile(r'\s*("[^"]*"|[A-Za-z_][A-Za-z0-9_]*|[<>(),=])')
MARK = re.compile(r"\[([-+])([a-z0-9-]+)\] ?")


class Reader:
    """One line's terms.  Variables are numbered within a rule by `names`."""

    def __init__(self, text, names, defined):
        self.tokens, self.names, self.defined, self.text = [], names, defined, text
        rest = text.strip()
        while rest:
            found = TOKEN.match(rest)
            if not found:
                raise ValueError(f"cannot read {text!r} at {rest!r}")
            self.tokens.append(found.group(1))
            rest = rest[found.end():].strip()

    def next(self, expected=None):
        if not self.tokens or (expected and self.tokens[0] != expected):
            raise ValueError(f"{self.text!r}: expected {expected or 'more'}")
        return self.tokens.pop(0)

    def term(self):
        token = self.next()
        if token == "<":
            parts = self.list(">")
            term = parts.pop()
            while parts:
                term = ("tuple", parts.pop(), term)
            return term
        if token[0] == '"':
            return (token,)
        if token[0].isupper():
            if token in self.defined:
                return self.defined[token]
            return self.names.setdefault(token, len(self.names))
        if self.tokens[:1] == ["("]:
            self.next("(")
            return (token,) + tuple(self.list(")"))
        return (token,)

    def list(self, end):
        parts = [self.term()]
        while self.tokens[:1] == [","]:
            self.next(",")
            parts.append(self.term())
        self.next(end)
        return parts


class Model:
    def __init__(self):
        self.rules, self.public, self.goals, self.reachable = [], set(), {}, {}
        self.marks = set()


def lines(text, without, marks):
    """The lines that hold when the protections named in `without` are taken away."""
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].rstrip()
        while True:
            found = MARK.search(line)
            if not found:
                break
            sign, name = found.groups()
            marks.add(name)
            if (name in without) == (sign == "-"):
                line = ""
            else:
                line = line[:found.start()] + line[found.end():]
        if line.strip():
            yield line


def read(text, without=frozenset()):
    """`rule NAME` and its indented lines; `public CONSTANT...`; `never NAME` and `can NAME` with
    lines of their own: what must not come to pass, and what must."""
    model = Model()
    current = None
    for line in lines(text, without, model.marks):
        if not line[0].isspace():
            word, *rest = line.split()
            if word == "public":
                model.public |= set(rest)
            elif word in ("rule", "never", "can"):
                current = [word, rest[0], {}, {}, []]
            else:
                raise ValueError(f"cannot read {line!r}")
            if word in ("never", "can"):
                model.goals[rest[0]] = word
                current[4] = None
                model.rules.append([rest[0], ("goal", (rest[0],)), []])
            continue
        kind, name, names, defined, body = current
        if " = " in line and "=>" not in line:
            variable, text_of = line.split(" = ", 1)
            if variable.strip() in names or variable.strip() in defined:
                raise ValueError(f"{name}: {variable.strip()} is used before it is defined")
            defined[variable.strip()] = Reader(text_of, names, defined).term()
        elif line.strip().startswith("=>"):
            head = Reader(line.strip()[2:], names, defined).term()
            model.rules.append([name, head, list(body)])
        elif kind == "rule":
            body.append(Reader(line, names, defined).term())
        else:
            model.rules[-1][2].append(Reader(line, names, defined).term())
    model.public |= set(re.findall(r'"[^"]*"', text))
    return model
