"""A small prover for protocols written as Horn clauses: ProVerif's method (B. Blanchet, "An
Efficient Cryptographic Protocol Verifier Based on Prolog Rules", CSFW 2001).

A clause says: where the facts of the body hold, the head holds.  at(X) means that the attacker
has X.  Every number of sessions is covered at once, because a clause may be used any
number of times.  What this gives up: a clause that holds once holds for ever, so that nothing is
used up (a challenge is never spent), and an attack may be one that the real state would stop.  No
attack is lost.

saturate() resolves until nothing new comes.  A clause whose body is at(variable) throughout is
*solved*: the attacker has only to pick something.  Others are resolved on one chosen fact of the
body with the solved clauses.  By the theorem (section 3 of the paper) a goal can be derived if
and only if a solved clause for it comes out.

Terms: a variable is an int; all else is a tuple (function, argument...).  "tuple" pairs two terms.
"""

import collections


class Clause:
    """`origin` is a rule's name, or the two clauses that it was resolved from."""

    __slots__ = ("head", "body", "origin", "selected", "kinds", "ordered", "set")

    def __init__(self, head, body, origin, given):
        self.head, self.body, self.origin = head, body, origin
        self.selected = choose(body, given)
        self.kinds, self.set = kinds(body), frozenset(body)
        self.ordered = sorted(body, key=size, reverse=True)


def is_variable(term):
    return isinstance(term, int)


def walk(term, binding):
    while isinstance(term, int) and term in binding:
        term = binding[term]
    return term


def apply(term, binding):
    term = walk(term, binding)
    if isinstance(term, int) or len(term) == 1:
        return term
    return (term[0],) + tuple([apply(a, binding) for a in term[1:]])


def occurs(variable, term, binding):
    term = walk(term, binding)
    if isinstance(term, int):
        return term == variable
    return any(occurs(variable, a, binding) for a in term[1:])


def unify(a, b, binding):
    """Extends `binding`; False where there is no unifier."""
    a, b = walk(a, binding), walk(b, binding)
    if a is b or a == b:
        return True
    if isinstance(a, int):
        if occurs(a, b, binding):
            return False
        binding[a] = b
        return True
    if isinstance(b, int):
        return unify(b, a, binding)
    if a[0] != b[0] or len(a) != len(b):
        return False
    for x, y in zip(a[1:], b[1:]):
        if not unify(x, y, binding):
            return False
    return True


def match(pattern, term, binding):
    """One-sided: binds variables of `pattern` only.  Most of the time is spent here; a loop
    takes a fifth less of it than all()."""
    if isinstance(pattern, int):
        if pattern in binding:
            return binding[pattern] == term
        binding[pattern] = term
        return True
    if isinstance(term, int) or pattern[0] != term[0] or len(pattern) != len(term):
        return False
    for p, t in zip(pattern[1:], term[1:]):
        if not match(p, t, binding):
            return False
    return True


def variables(term, out):
    if isinstance(term, int):
        out.append(term)
    else:
        for a in term[1:]:
            variables(a, out)
    return out


def shift(term, by):
    if isinstance(term, int):
        return term + by
    if len(term) == 1:
        return term
    return (term[0],) + tuple([shift(a, by) for a in term[1:]])


def size(term):
    return 1 if isinstance(term, int) else 1 + sum(size(a) for a in term[1:])


def choose(body, given):
    """The fact to resolve on, or None where the clause is solved: the first one.  The order of the
    premises in a model is thus the order in which they are looked at."""
    for i, fact in enumerate(body):
        if fact[0] not in given and not (fact[0] == "at" and is_variable(fact[1])):
            return i
    return None


def kinds(body):
    return frozenset((f[0], 0 if is_variable(f[1]) else f[1][0]) if f[0] == "at" else f[0]
                     for f in body if f[0] != "at" or not is_variable(f[1]))


def subsumes(general, special):
    """Whether `special` says nothing that `general` does not say."""
    if not general.kinds <= special.kinds:
        return False
    binding = {}
    if not match(general.head, special.head, binding):
        return False
    return covered(general.ordered, 0, special, binding, [300])


def covered(facts, i, special, binding, patience):
    """Whether facts[i:], the largest first, are all in the body of `special`.  With its patience
    at an end it says no, which only keeps a clause that is not needed."""
    patience[0] -= 1
    if patience[0] < 0:
        return False
    if i == len(facts):
        return True
    fact = facts[i]
    if fact[0] == "at" and is_variable(fact[1]) and fact[1] in binding:
        return ("at", binding[fact[1]]) in special.set and covered(facts, i + 1, special, binding, patience)
    for other in special.body:
        if other[0] == fact[0]:
            trial = dict(binding)
            if match(fact, other, trial) and covered(facts, i + 1, special, trial, patience):
                return True
    return False


class Prover:
    """`public`: constants that everybody has.  `rules`: (name, head, body)."""

    def __init__(self, rules, public, limit=20000):
        self.public, self.limit = frozenset(public), limit
        self.solved, self.open = {}, {}  # by what the resolved fact looks like
        self.queue = []
        self.made = 0
        self.given, self.known = {}, {}
        derived = {head[0] for name, head, body in rules if body} | {"at", "goal"}
        for name, head, body in rules:
            if head[0] not in derived:
                self.given.setdefault(head[0], []).append(head)
        for name, head, body in rules:
            if head[0] in derived:
                self.add(head, body, name)

    def solutions(self, facts, binding, fresh=100000):
        """The ways in which the given facts make all of `facts` true; fewest choices first."""
        if not facts:
            yield binding
            return
        best, choices = None, None
        for fact in facts:
            found = []
            for known in self.given[fact[0]]:
                trial = dict(binding)
                if unify(fact, shift(known, fresh) if variables(known, []) else known, trial):
                    found.append(trial)
            if best is None or len(found) < len(choices):
                best, choices = fact, found
            if not found:
                return
        rest = [f for f in facts if f is not best]
        for trial in choices:
            yield from self.solutions(rest, trial, fresh + 100)

    def split(self, fact):
        """What a fact says, in the smallest pieces: the attacker takes tuples apart and puts
        them together, and has what is public."""
        if fact[0] == "at" and not is_variable(fact[1]):
            if fact[1][0] == "tuple":
                return [f for part in fact[1][1:] for f in self.split(("at", part))]
            if len(fact[1]) == 1 and fact[1][0] in self.public:
                return []
        return [fact]

    def add(self, head, body, origin):
        body = [f for fact in body for f in self.split(fact)]
        for piece in self.split(head):
            self.add_simple(piece, body, origin)

    def add_simple(self, head, body, origin):
        body = list(dict.fromkeys(body))
        if head in body:
            return
        # at(x) with x nowhere else asks nothing: the attacker has something.
        names = variables(head, [])
        for fact in body:
            variables(fact, names)
        seen = collections.Counter(names)
        body = [f for f in body
                if not (f[0] == "at" and is_variable(f[1])
                        and seen[f[1]] == 1)]
        conditions = [f for f in body if f[0] in self.given]
        if not self.possible(conditions):
            return
        if head[0] == "at" and is_variable(head[1]) and all(
                self.is_public(walk(head[1], found)) for found in self.solutions(conditions, {})):
            return
        body = [f for f in body if f[0] not in self.given or not (
                any(match(known, f, {}) for known in self.given[f[0]])
                or self.alone(f, seen))]
        names = {}
        for v in variables(head, []) + [v for f in body for v in variables(f, [])]:
            names.setdefault(v, len(names))
        clause = Clause(apply_names(head, names), tuple(apply_names(f, names) for f in body),
                        origin, self.given)
        if any(subsumes(old, clause) for old in self.candidates(clause)):
            return
        self.queue.append(clause)
        self.made += 1
        if self.made > self.limit:
            raise RuntimeError(f"more than {self.limit} clauses: the model does not end")

    def possible(self, conditions):
        names = {}
        for f in conditions:
            for v in variables(f, []):
                names.setdefault(v, len(names))
        key = frozenset(apply_names(f, names) for f in conditions)
        if key not in self.known:
            self.known[key] = next(self.solutions(list(key), {}), None) is not None
        return self.known[key]

    def is_public(self, term):
        return not is_variable(term) and len(term) == 1 and term[0] in self.public

    @staticmethod
    def alone(fact, seen):
        own = variables(fact, [])
        return len(own) == len(fact) - 1 and all(seen[v] == 1 for v in own)

    @staticmethod
    def shape(fact):
        if fact[0] == "at":
            return ("at", fact[1] if is_variable(fact[1]) else fact[1][0])
        return (fact[0], "")

    def candidates(self, clause):
        kind, top = self.shape(clause.head)
        for group in (self.solved, self.open):
            for key, found in group.items():
                if key[0] == kind and (isinstance(key[1], int) or key[1] == top):
                    yield from found

    def saturate(self):
        """Gives the solved clauses without `at` in the head: what can come to pass."""
        while self.queue:
            best = min(range(len(self.queue)), key=lambda i: len(self.queue[i].body))
            clause = self.queue.pop(best)
            if any(subsumes(old, clause) for old in self.candidates(clause)):
                continue
            self.forget_special(clause)
            key = self.head_key(clause)
            if clause.selected is None:
                self.solved.setdefault(key, []).append(clause)
                for other in [c for found in self.open.values() for c in found]:
                    self.resolve(other, clause)
            else:
                self.open.setdefault(key, []).append(clause)
                for other in [c for found in self.solved.values() for c in found]:
                    self.resolve(clause, other)
        return [c for found in self.solved.values() for c in found if c.head[0] != "at"]

    def head_key(self, clause):
        kind, top = self.shape(clause.head)
        return (kind, 0 if isinstance(top, int) else top)

    def forget_special(self, clause):
        for group in (self.solved, self.open):
            for key, found in group.items():
                found[:] = [c for c in found if not subsumes(clause, c)]

    def resolve(self, goal, solved):
        fact = goal.body[goal.selected]
        if fact[0] != solved.head[0]:
            return
        if fact[0] == "at" and not is_variable(solved.head[1]) and fact[1][0] != solved.head[1][0]:
            return
        by = 1 + max(variables(goal.head, []) + [v for f in goal.body for v in variables(f, [])],
                     default=0)
        binding = {}
        if not unify(fact, shift(solved.head, by), binding):
            return
        rest = [f for i, f in enumerate(goal.body) if i != goal.selected]
        body = [apply(shift(f, by), binding) for f in solved.body]
        body += [apply(f, binding) for f in rest]
        self.add(apply(goal.head, binding), body, (goal, solved))


def apply_names(term, names):
    if isinstance(term, int):
        return names[term]
    if len(term) == 1:
        return term
    return (term[0],) + tuple([apply_names(a, names) for a in term[1:]])


def path(clause, known=None):
    """The rules that lead to a clause, first things first, each once."""
    known = {} if known is None else known
    if id(clause) not in known:
        if isinstance(clause.origin, str):
            known[id(clause)] = [clause.origin]
        else:
            goal, solved = clause.origin
            known[id(clause)] = list(dict.fromkeys(path(solved, known) + path(goal, known)))
    return known[id(clause)]
