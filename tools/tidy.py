#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The style that a program can check; TAP, one point for each rule.

Usage: tools/tidy.py               checks the repository
       tools/tidy.py --self-test   checks that planted errors are seen

A rule takes {path: text} of all files and yields its complaints.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SPDX = "/* SPDX-License-Identifier: MIT */\n"
CODE = re.compile(r"(include|src|tests|examples|bench|hook|python)/.*\.([chS]|cpp)$")
PUBLIC = re.compile(r"include/tuck/\w+\.h$")
# The comment, if any, that precedes a prototype; its name and parameters.
PROTOTYPE = re.compile(r"(/\*(?:(?!\*/).)*\*/)?\s*"
                       r"((?:(?!\n \*)[^/;{}])*?\b(tuck_\w+)"
                       r"\((?:(?!\n \*)[^/;{}])*\)\s*;)", re.S)
LONGEST = 70


def code(files, suffixes=".c .cpp .h .S"):
    for path, text in files.items():
        if CODE.match(path) and path.endswith(tuple(suffixes.split())):
            yield path, text


def lines(pairs):
    for path, text in pairs:
        for number, line in enumerate(text.split("\n"), 1):
            yield f"{path}:{number}", line


def prototypes(files):
    for path, text in files.items():
        if PUBLIC.match(path):
            # Bodies, then what is not C's grammar: # lines, extern "C".
            text = re.sub(r"^\{\n.*?^\}$", "{}", text, flags=re.M | re.S)
            text = re.sub(r"^#(?:.*\\\n)*.*", "", text, flags=re.M)
            text = re.sub(r'^(extern "C" \{|\})$', "", text, flags=re.M)
            text = re.sub(r"__attribute__\(\(.*?\)\)", "", text)
            for comment, whole, name in PROTOTYPE.findall(text):
                if not re.match(r"\s*typedef\b", whole) \
                        and not name.startswith("tuck__"):
                    yield path, whole, name, comment


def contract(files):
    """a public prototype's comment has Switches: and Errors:"""
    for path, _, name, comment in prototypes(files):
        for word in ("Switches:", "Errors:"):
            if word not in comment:
                yield f"{path}: {name} without {word}"


def exports(files):
    """the .map files list just the public functions"""
    maps = [text for path, text in files.items() if path.endswith(".map")]
    inside = set(re.findall(r"^\t(tuck_\w+);$", "".join(maps), re.M))
    public = {name for _, whole, name, _ in prototypes(files)
              if not re.match(r"\s*static\b", whole)}
    for name in public ^ inside:
        yield f"{name}: only in the {'map' if name in inside else 'headers'}"


def version(files):
    """meson.build and base.h agree on the version"""
    header = re.findall(r"TUCK_VERSION_\w+ (\d+)", files["include/tuck/base.h"])
    if f"version: '{'.'.join(header)}'" not in files["meson.build"]:
        yield "meson.build: not version " + ".".join(header)


def hooked(files):
    """names.h of the hook and the linker's lists of names agree"""
    def wrapped(path, name):
        text = re.search(rf"^{name} = \[(.*?)\]$", files.get(path, ""),
                         re.M | re.S)
        return set(re.findall(r"'(\w+)'", text[1])) if text else set()

    def named(macro):
        text = re.search(rf"^#define {macro}\(X\)((?:.*\\\n)*.*)",
                         files.get("hook/names.h", ""), re.M)
        return set(re.findall(r"^X\([^,]+, (\w+),", text[1], re.M)) \
            if text else set()
    for name in wrapped("hook/meson.build", "hook_wrapped") \
            ^ named("TUCK__HOOKS"):
        yield f"{name}: only in one of hook/names.h and hook_wrapped"
    for name in named("TUCK__LOCKS") \
            - wrapped("src/preempt/meson.build", "preempt_wrapped"):
        yield f"{name}: in hook/names.h, but not in preempt_wrapped"


def head(files):
    """a C file begins with SPDX line and a comment what it is"""
    for path, text in code(files):
        if not text.startswith(SPDX + "/*"):
            yield f"{path}: does not begin with SPDX line and comment"


def width(files):
    """80 columns"""
    for where, line in lines(code(files)):
        if len(line.expandtabs(8)) > 80:
            yield f"{where}: wider than 80 columns"


def blanks(files):
    """tabs indent, nothing trails, files end with one newline"""
    for where, line in lines(code(files)):
        if re.match(r"\t* {8}", line):
            yield f"{where}: indented with spaces"
    for where, line in lines(files.items()):
        if line != line.rstrip():
            yield f"{where}: trailing blanks"
    for path, text in files.items():
        if text and (text[-1] != "\n" or text.endswith("\n\n")):
            yield f"{path}: does not end with one newline"


def assembly(files):
    """assembly has call frame information and a stack note"""
    for path, text in code(files, ".S"):
        for word in (r"\.note\.GNU-stack", r"\.cfi_|\bframe\.inc\b"):
            if not re.search(word, text):
                yield f"{path}: no {word}"


def length(files):
    """no function above 70 lines without /* long: reason */"""
    for path, text in code(files, ".c .cpp .h"):
        for body in re.finditer(r"^\{\n.*?^\}$", text, re.M | re.S):
            n = body[0].count("\n") + 1
            above = text[:body.start()].rsplit("\n}\n", 1)[-1]
            if n > LONGEST and "/* long:" not in above + body[0]:
                line = text.count("\n", 0, body.start()) + 1
                yield f"{path}:{line}: a function of {n} lines"


def words(files):
    """nothing unfinished, no path of one machine"""
    bad = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b"
                     r"|(?<![\w.}])/(work|root|home/\w+)\b"
                     r"|(?<![\w.}])/tm[p]\b(?!/[\w.-]*XXXXXX)")
    for where, line in lines(files.items()):
        found = bad.search(line)
        if found:
            yield f"{where}: {found[0]}"


def formatting(_):
    """tools/fmt would change nothing"""
    out = subprocess.run([sys.executable, "tools/fmt", "--check"], cwd=ROOT,
                         stdout=subprocess.PIPE, text=True)
    if out.returncode:
        yield out.stdout or "tools/fmt failed"


def no_clang_format_14():
    exe = shutil.which("clang-format")
    return not exe or b"version 14" not in subprocess.check_output(
        [exe, "--version"])


RULES = [contract, exports, version, hooked, head, width, blanks, assembly, length,
         words]


def read_all():
    files = {}
    for top, dirs, names in os.walk(ROOT):
        dirs[:] = [d for d in dirs if d not in (".git", "build", "__pycache__")]
        for name in (n for n in names if n != ".git"):
            path = os.path.join(top, name)
            try:
                with open(path, encoding="utf-8") as f:
                    files[os.path.relpath(path, ROOT)] = f.read()
            except (UnicodeDecodeError, FileNotFoundError):
                pass            # not text, or an editor's passing file
    return files


def self_test():
    h = "include/tuck/base.h"
    good = {
        h: SPDX + "/* Head. */\n#define TUCK_VERSION_MAJOR 1\n"
        'extern "C" {\n/*\n * It.\n * Switches: no. Errors: none.\n */\n'
        "int tuck_it(void (*fn)(void *),\n\t    int n);\n}\n",
        "include/tuck/inline.h": SPDX + "/* Head. */\n/*\n * It.\n"
        " * Switches: no. Errors: none.\n */\nstatic int tuck_in(void);\n"
        "static int tuck_in(void)\n{\n\treturn tuck_it(NULL, 0);\n}\n",
        "src/tuck.map": "{\n\ttuck_it;\n};\n",
        "meson.build": "version: '1'\n",
        "hook/meson.build": "hook_wrapped = [\n\t'read', 'recv',\n]\n",
        "src/preempt/meson.build": "preempt_wrapped = ['sem_post', 'sig']\n",
        "hook/names.h": SPDX + "/* Head. */\n#define TUCK__HOOKS(X)\t\\\n"
        "X(ssize_t, read, (int fd,\t\\\n\tsize_t n), (fd, n))\t\\\n"
        "X(void *, recv, (int fd), (fd))\n\n"
        "#define TUCK__LOCKS(X)\t\\\nX(int, sem_post, (sem_t *s), (s))\n",
        "src/a.S": SPDX + "/* Head. */\n.cfi_x\n.note.GNU-stack\n",
        "tests/a.c": SPDX + '/* Head. */\nx = "/tmp/x-XXXXXX";\n',
    }
    long = "void f(void)\n{\n" + "\tx();\n" * 70 + "}\n"
    c_head = SPDX + "/* Head. */\n"
    planted = [
        (contract, h, good[h].replace("Errors", "Error")),
        (contract, h, good[h].replace("n);", "n);\n\nint tuck_it(void);")),
        (contract, "include/tuck/inline.h", "static int tuck_in(void);\n"),
        (exports, h, good[h].replace("tuck_it", "tuck_that")),
        (exports, "src/tuck.map", good["src/tuck.map"] + "\ttuck_more;\n"),
        (version, "meson.build", "version: '2'\n"),
        (hooked, "hook/names.h", good["hook/names.h"].replace("recv", "rec")),
        (hooked, "hook/names.h", good["hook/names.h"].replace("sem_", "s_")),
        (hooked, "hook/meson.build", "hook_wrapped = ['read']\n"),
        (head, "src/a.c", "/* Head. */\n"),
        (head, "src/a.c", SPDX + "int x;\n"),
        (width, "src/a.c", c_head + "\t" * 9 + "123456789\n"),
        (blanks, "src/a.c", c_head + "        x;\n"),
        (blanks, "README", "a \n"),
        (blanks, "README", "a"),
        (assembly, "src/a.S", c_head + ".cfi_x\n"),
        (length, "src/a.c", c_head + long),
        (words, "README", "TO" + "DO\n"),
        (words, "README", "in /" + "root/x\n"),
        (words, "README", "in /" + "tmp/x\n"),
    ]
    for rule in RULES:
        assert not list(rule(good)), (rule, list(rule(good)))
    for rule, path, text in planted:
        assert list(rule(dict(good, **{path: text}))), (rule, text)
    excused = {"src/a.c": c_head + "/* long: a table. */\n" + long}
    assert not list(length(excused))


def main():
    files = read_all()
    skip = no_clang_format_14()
    rules = RULES + ([] if skip else [formatting])
    print(f"1..{len(RULES) + 1}")
    failed = False
    for number, rule in enumerate(rules, 1):
        bad = sorted(rule(files))
        for line in "\n".join(bad).splitlines():
            print("#", line, file=sys.stderr)
        print("not ok" if bad else "ok", number, "-", rule.__doc__)
        failed |= bool(bad)
    if skip:
        print("ok", len(RULES) + 1, "- formatting # SKIP no clang-format 14")
    return failed


if sys.argv[1:] == ["--self-test"]:
    self_test()
else:
    sys.exit(main())
