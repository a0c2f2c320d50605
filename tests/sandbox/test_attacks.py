# ruff: noqa: E501
"""Attacks on the box, each a small program: none has an effect, and none is `passed`.

    "read a file": "return open(SECRET_FILE).read()"

Four kinds, each the body of `attack(x)`. A theft returns what it took, and its check wants to see the secret in it; a harm
returns once it is done, and its check wants just that; a forgery tries to be `passed` where 9 is right and it cannot
know so; a bomb wants time, memory or processes. So `passed` always means that the attack worked. Afterwards the
world is looked at too: files, modes, the victim's process, servers, processes left behind.

Bombs are bounded, and signals that would reach others are 0, so that a hole in the walls hurts nobody.
"""

import os
import platform
import re
import secrets
import selectors
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from mixgrid.sandbox import Case, Verdict, open_sandbox
from mixgrid.sandbox.launch import Mode

PREAMBLE = """
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def done(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def call(number, *arguments):
    return done(libc.syscall(ctypes.c_long(number), *arguments))

def frame(data, length=None):
    return struct.pack(">I", len(data) if length is None else length) + data

def fails(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False

def write_everywhere(data):
    for descriptor in range(64):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
"""

MODULES = ("glob", "io", "shutil", "signal", "socket", "subprocess", "threading")  # only those that an attack names

THEFTS = {
    # files
    "read a file": "return open(SECRET_FILE).read()",
    "read a file by descriptor": "return str(os.read(os.open(SECRET_FILE, os.O_RDONLY), 100))",
    "read a file by FileIO": "return str(io.FileIO(SECRET_FILE).read())",
    "read a file by the C library": "f = libc.open(SECRET_FILE.encode(), 0); b = ctypes.create_string_buffer(99); libc.read(f, b, 99); return str(b.value)",
    "read a file by openat2": "f = call(437, -100, SECRET_FILE.encode(), struct.pack('QQQ', 0, 0, 0), 24); return str(os.read(f, 99))",
    "read a file by a relative path": "return open('../../../../../..' + SECRET_FILE).read()",
    "read a file through /proc/self/root": "return open('/proc/self/root' + SECRET_FILE).read()",
    "read a file through /proc of the parent": "return open(f'/proc/{os.getppid()}/root{SECRET_FILE}').read()",
    "read a file through a link": "os.symlink(SECRET_FILE, '/tmp/link'); return open('/tmp/link').read()",
    "read a file with a shell": "return os.popen(f'cat {SECRET_FILE}').read()",
    "read a file with a subprocess": "return subprocess.check_output(['/bin/cat', SECRET_FILE], text=True)",
    "read a file as a source line": "import linecache; return linecache.getline(SECRET_FILE, 1)",
    "read a file as a module": "import importlib.util as u; s = u.spec_from_file_location('m', SECRET_FILE); m = u.module_from_spec(s); s.loader.exec_module(m); return str(vars(m))",
    "read a file by a URL": "import urllib.request; return str(urllib.request.urlopen('file://' + SECRET_FILE).read())",
    "read a file by the loader": "import importlib.machinery as m; return str(m.SourceFileLoader('m', SECRET_FILE).get_data(SECRET_FILE))",
    "read a file as a library's error": "try: ctypes.CDLL(SECRET_FILE)\n    except OSError as e: return str(e) + open(SECRET_FILE).read()",
    "read a file with sqlite": "import sqlite3; return str(sqlite3.connect(f'file:{SECRET_FILE}?mode=ro', uri=True).execute('select * from sqlite_master').fetchall()) + open(SECRET_FILE).read()",
    "copy a file": "shutil.copy(SECRET_FILE, '/tmp/copy'); return open('/tmp/copy').read()",
    "read a file by io_uring": "call(425, 8, ctypes.create_string_buffer(120)); return SECRET_MARK",
    "read a file by its handle": "call(303, -100, SECRET_FILE.encode(), ctypes.create_string_buffer(200), ctypes.byref(ctypes.c_int()), 0); return SECRET_MARK",
    "list a folder": "return SECRET_MARK if os.listdir(FOLDER) else ''",
    "list the root": "return SECRET_MARK if os.listdir('/') else ''",
    "walk the tree": "return SECRET_MARK if list(os.walk('/')) else ''",
    "glob": "return SECRET_MARK if glob.glob(FOLDER + '/*') else ''",
    "see that a file exists": "return SECRET_MARK if os.path.exists(SECRET_FILE) or os.access(SECRET_FILE, os.F_OK) else ''",
    "see how large a file is": "return SECRET_MARK if os.stat(SECRET_FILE).st_size else ''",
    "see that Python's own files exist": "return SECRET_MARK if os.path.exists(os.__file__) else ''",
    "see the accounts": "import pwd; return SECRET_MARK if pwd.getpwall() else ''",
    "see where it is": "return SECRET_MARK if os.getcwd() else ''",
    "see the machine's name": "return SECRET_MARK if socket.gethostname() or os.uname() else ''",
    "find site-packages": "import site; return SECRET_MARK if any('site-packages' in p for p in sys.path) else ''",
    # environment, /proc, memory
    "read the environment": "return str(dict(os.environ)) + str(os.getenv('MIXGRID_SECRET'))",
    "read the environment by the C library": "libc.getenv.restype = ctypes.c_char_p; return str(libc.getenv(b'MIXGRID_SECRET'))",
    "read the environment block": "e = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ'); return str([e[i] for i in range(50) if e and e[i]])",
    "have any environment at all": "return SECRET_MARK if os.environ or os.environb else ''",
    "read /proc/self/environ": "return open('/proc/self/environ').read()",
    "read /proc/1/environ": "return open('/proc/1/environ').read()",
    "read the parent's environment": "return open(f'/proc/{os.getppid()}/environ').read()",
    "read the victim's environment": "return open(f'/proc/{VICTIM}/environ').read()",
    "read every environment": "return ''.join(open(p).read() for p in glob.glob('/proc/[0-9]*/environ'))",
    "see its own executable": "return SECRET_MARK if os.readlink('/proc/self/exe') else ''",
    "see its descriptors": "return SECRET_MARK if os.listdir('/proc/self/fd') else ''",
    "see processes": "return SECRET_MARK if os.path.exists(f'/proc/{VICTIM}') else ''",
    "read the parent's memory": "return str(open(f'/proc/{os.getppid()}/mem', 'rb').read(10))",
    "read the victim's memory": "b = ctypes.create_string_buffer(8); v = struct.pack('PN', ctypes.addressof(b), 8); call(310, VICTIM, v, 1, v, 1, 0); return SECRET_MARK",
    "trace the victim": "call(101, 16, VICTIM, 0, 0); return SECRET_MARK",
    "trace the parent": "call(101, 0x4206, os.getppid(), 0, 0); return SECRET_MARK",
    "be traced": "call(101, 0, 0, 0, 0); return SECRET_MARK",
    "take the victim's descriptors": "call(438, call(434, VICTIM, 0), 0, 0); return SECRET_MARK",
    "read the kernel's keys": "call(250, 0, -4, 1); return SECRET_MARK",
    "read the kernel's log": "call(103, 3, ctypes.create_string_buffer(99), 99); return SECRET_MARK",
    "find the check in memory": "import gc; return ' '.join(str(o) for o in gc.get_objects() if isinstance(o, (str, dict, list)) and o is not None)[:10**6]",
    "find the check in frames": "f, found = sys._getframe(), ''\n    while f: found += str(f.f_locals) + str(f.f_globals); f = f.f_back\n    return found[:10**6]",
    "read all descriptors": "import select; r = select.poll(); [r.register(d) for d in range(64) if d]; return str([os.read(d, 9999) for d, e in r.poll(0) if e == 1])",
    "have other descriptors than the two pipes": "return SECRET_MARK if sum(not fails(lambda d=d: os.fstat(d)) for d in range(64)) > 5 else ''",
}  # fmt: skip

HARMS = {
    # files
    "make a file": "open(FOLDER + '/new', 'w')",
    "make a file in /tmp": "open('/tmp/new', 'x')",
    "make a file in the root": "open('/new', 'w')",
    "make a file without a name": "import tempfile; tempfile.TemporaryFile()",
    "make a file in shared memory": "open('/dev/shm/new', 'w')",
    "make shared memory": "done(libc.shm_open(b'/new', 66, 384))",
    "make a memory file": "os.memfd_create('new')",
    "append to a file": "open(CANARY, 'a').write('x')",
    "overwrite a file": "open(CANARY, 'r+').write('x')",
    "truncate a file": "os.truncate(CANARY, 0)",
    "remove a file": "os.remove(CANARY)",
    "rename a file": "os.rename(CANARY, FOLDER + '/other')",
    "change a file's mode": "os.chmod(CANARY, 0o777)",
    "change a file's owner": "os.chown(CANARY, 1, 1)",
    "change a file's owner to the same": "os.chown(CANARY, -1, -1)",
    "change a file's times": "os.utime(CANARY, (0, 0))",
    "change a file's attributes": "os.setxattr(CANARY, 'user.x', b'x')",
    "make a folder": "os.mkdir(FOLDER + '/new')",
    "remove a folder": "os.rmdir(FOLDER + '/empty')",
    "remove a tree": "shutil.rmtree(FOLDER)",
    "make a symbolic link": "os.symlink('/etc/passwd', FOLDER + '/new')",
    "make a hard link": "os.link(CANARY, FOLDER + '/new')",
    "make a fifo": "os.mkfifo(FOLDER + '/new')",
    "make a device": "os.mknod(FOLDER + '/new', 0o20666, os.makedev(1, 3))",
    "watch a folder": "done(libc.inotify_init())",
    "lock a file": "import fcntl; fcntl.flock(os.open(CANARY, os.O_RDONLY), fcntl.LOCK_EX)",
    "change Python's library": "open(os.__file__, 'a')",
    "change the folder": "os.chdir('/')",
    "change the root": "os.chroot('/')",
    "mount": "done(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))",
    "remount the root writable": "done(libc.mount(b'none', b'/', None, 32, None))",
    "remount a bind writable": "done(libc.mount(b'none', b'/usr/lib', None, 4096 | 32, None))",
    "open a tree": "call(428, -100, b'/', 1)",
    # processes
    "fork": "os.fork() or os._exit(0)",
    "vfork": "done(libc.vfork()) or os._exit(0)",
    "clone": "call(56, 17, 0, 0, 0, 0) or os._exit(0)",
    "clone3": "call(435, struct.pack('8Q', 0, 0, 0, 0, 17, 0, 0, 0), 64) or os._exit(0)",
    "start a thread": "threading.Thread(target=print).start()",
    "start a pool": "import concurrent.futures as c; c.ThreadPoolExecutor(1).submit(print).result(1)",
    "start processes": "import multiprocessing; multiprocessing.Process(target=print).start()",
    "be a daemon": "os.setsid(); os.fork() and os._exit(0)",
    "execute a shell": "os.execv('/bin/sh', ['sh', '-c', f'touch {FOLDER}/new'])",
    "execute Python": "os.execv(sys.executable, ['python', '-c', ''])",
    "execute from memory": "call(322, 0, b'', 0, 0, 0x1000)",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "system": "assert os.system(f'touch {FOLDER}/new') == 0",
    "a terminal": "import pty; pty.fork()",
    "kill the victim": "os.kill(VICTIM, 9)",
    "stop the victim": "os.kill(VICTIM, signal.SIGSTOP)",
    "signal the parent": "os.kill(os.getppid(), 0)",
    "signal everyone": "os.kill(-1, 0)",
    "signal its group": "os.killpg(0, 0)",
    "signal by tgkill": "call(234, VICTIM, VICTIM, 0)",
    "queue a signal": "call(129, VICTIM, 0, ctypes.create_string_buffer(128))",
    "signal by a handle": "signal.pidfd_send_signal(os.pidfd_open(VICTIM), 0)",
    "signal by a descriptor's owner": "import fcntl; fcntl.fcntl(3, fcntl.F_SETOWN, VICTIM)",
    "slow the victim": "os.setpriority(os.PRIO_PROCESS, VICTIM, 19)",
    "limit the victim": "import resource; resource.prlimit(VICTIM, resource.RLIMIT_NOFILE, (9, 9))",
    "move the victim": "os.sched_setaffinity(VICTIM, {0})",
    "raise its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "raise its file limit": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))",
    "be real time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "be root": "os.setuid(0)",
    "be root by setresuid": "os.setresuid(0, 0, 0)",
    "take capabilities": "call(126, struct.pack('Ii', 0x20080522, 0), struct.pack('6I', *[2**32 - 1] * 6))",
    "be dumpable": "done(libc.prctl(4, 1, 0, 0, 0))",
    "outlive the parent": "done(libc.prctl(1, 0, 0, 0, 0))",
    "adopt orphans": "done(libc.prctl(36, 1, 0, 0, 0))",
    "another filter": "done(libc.prctl(22, 1, 0, 0, 0))",
    "new namespaces": "done(libc.unshare(0x10000000))",
    "enter namespaces": "done(libc.setns(0, 0))",
    "name the machine": "socket.sethostname('x')",
    "set the clock": "time.clock_settime(time.CLOCK_REALTIME, time.time())",
    "load a BPF program": "call(321, 0, ctypes.create_string_buffer(64), 64)",
    "measure others": "call(298, ctypes.create_string_buffer(128), VICTIM, -1, -1, 0)",
    "fault in user space": "call(323, 0)",
    "lock memory": "done(libc.mlockall(1))",
    "the other 32-bit table": "call(0x40000000 + 39)",
    # sockets and queues
    "connect by TCP": "socket.socket().connect(('127.0.0.1', PORT))",
    "send by UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "listen": "socket.create_server(('127.0.0.1', 0))",
    "look up a name": "socket.getaddrinfo(b'localhost', 80)",
    "get a page": "import urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{PORT}', timeout=1)",
    "connect by a unix socket": "socket.socket(socket.AF_UNIX).connect(SOCKET)",
    "connect by an abstract socket": "socket.socket(socket.AF_UNIX).connect(ABSTRACT)",
    "a pair of sockets": "socket.socketpair()",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "a kernel crypto socket": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0)",
    "a socket of the host": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "an event loop": "import asyncio; asyncio.new_event_loop()",
    "a pipe": "os.pipe()",
    "System V memory": "done(libc.shmget(0, 4096, 0o1600))",
    "a System V queue": "done(libc.msgget(0, 0o1600))",
    "a System V semaphore": "done(libc.semget(0, 1, 0o1600))",
    "a POSIX queue": "call(240, b'new', 66, 384, 0)",
    "type into the terminal": "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x')",
    "copy a descriptor": "os.dup(0)",
}  # fmt: skip

FORGERIES = {
    "always equal": "class E:\n        def __eq__(s, o): return True\n        __ne__ = lambda s, o: False\n    return E()",
    "always equal integer": "class E(int):\n        def __eq__(s, o): return True\n        def __ne__(s, o): return False\n        __hash__ = None\n    return E(0)",
    "always equal text": "return type('E', (str,), {'__eq__': lambda s, o: True})('')",
    "always equal list": "return type('E', (list,), {'__eq__': lambda s, o: True})()",
    "always equal float": "return type('E', (float,), {'__eq__': lambda s, o: True, '__sub__': lambda s, o: 0.0})(0)",
    "a class that claims to be int": "return type('E', (), {'__class__': int, '__eq__': lambda s, o: True, '__int__': lambda s: 8})()",
    "not a number": "return float('nan')",
    "patched equality": "import builtins; builtins.int = builtins.bool = type('I', (), {'__eq__': lambda s, o: True}); return builtins.int()",
    "patched AssertionError": "import builtins; builtins.AssertionError = type('A', (BaseException,), {}); builtins.__debug__ = False",
    "patched print and import": "import builtins; builtins.__import__ = builtins.print = lambda *a, **k: 9; return None",
    "patched json": "import json; json.dumps = lambda *a, **k: '[\"passed\", \"\"]'; return 9.5",
    "patched encoder": "b = sys.modules['mixgrid.sandbox.box']; b.encode = lambda *a: ['passed', '']; return 0",
    "patched sender": "b = sys.modules['mixgrid.sandbox.box']; b.send = lambda pipe, m: os.write(pipe, frame(b'[\"passed\",\"\"]')); return 0",
    "patched clock": "time.time = time.monotonic = lambda: 0; time.sleep = lambda s: None; return 0",
    "a small integer rewritten": "ctypes.memmove(id(8) + 24, struct.pack('i', 9), 4); return 0",
    "exit with success": "os._exit(0)",
    "exit by the system": "sys.exit(0)",
    "exit by the C library": "libc._exit(0)",
    "exit by a system call": "call(231, 0)",
    "exit at load": "pass\nos._exit(0)",
    "raise at load": "pass\nraise SystemExit(0)",
    "print that it passed": "print('passed'); print('[\"passed\", \"\"]', file=sys.stderr, flush=True)",
    "print at exit": "import atexit; atexit.register(print, 'passed'); sys.exit(0)",
    "write the verdict everywhere": "write_everywhere(b'[\"passed\", \"\"]\\n')",
    "write the verdict's frame everywhere": "write_everywhere(frame(b'[\"passed\", \"\"]')); os._exit(0)",
    "write the verdict's frame at load": "pass\nwrite_everywhere(frame(b'[\"loaded\"]') + frame(b'[\"passed\", \"\"]') * 9)",
    "write another verdict": "write_everywhere(frame(b'{\"outcome\": \"passed\", \"detail\": \"\"}'))",
    "write a value of another kind": "write_everywhere(frame(b'[\"value\", {\"__eq__\": true}]'))",
    "write two values": "write_everywhere(frame(b'[\"value\", 8, 9]'))",
    "write an unknown tag": "write_everywhere(frame(b'[\"value\", [\"object\", 9]]'))",
    "write a name as value": "write_everywhere(frame(b'[\"value\", [\"__import__\", \"os\"]]'))",
    "write a frame of 4 GB": "write_everywhere(b'\\xff\\xff\\xff\\xff')",
    "write an empty frame": "write_everywhere(frame(b''))",
    "write half a frame": "write_everywhere(frame(b'[\"value\", 9', 99)); os._exit(0)",
    "write bytes that are no text": "write_everywhere(frame(b'\\xff\\xfe\\0'))",
    "write a deep frame": "write_everywhere(frame(b'[' * 10**5))",
    "write a number of a million digits": "write_everywhere(frame(b'[\"value\", ' + b'9' * 10**6 + b']'))",
    "write NaN and infinity": "write_everywhere(frame(b'[\"value\", NaN]'))",
    "write colliding keys": "write_everywhere(frame(('[\"value\", [\"set\"' + ''.join(f',[\"int\", \"{(i * (2**61 - 1)):x}\"]' for i in range(4000)) + ']]').encode()))",
    "write an exception that is no exception": "write_everywhere(frame(b'[\"raised\", \"__import__\", \"int\", \"SystemExit\"]'))",
    "write a missing name": "write_everywhere(frame(b'[\"missing\"]'))",
    "read what is asked and answer it": "pass\nwrite_everywhere(frame(b'[\"loaded\"]'))\nwhile True: write_everywhere(os.read(3, 9999))",
    "raise AssertionError": "raise AssertionError('passed')",
    "raise SystemExit": "raise SystemExit(0)",
    "raise KeyboardInterrupt": "raise KeyboardInterrupt",
    "raise GeneratorExit": "raise GeneratorExit",
    "raise StopIteration": "raise StopIteration(9)",
    "raise a class named passed": "raise type('passed', (BaseException,), {})",
    "raise a class of control characters": "raise type('\\x1b[2J\\n\\0passed', (Exception,), {})",
    "raise what claims another order": "class M(type):\n        def mro(c): return [c, *Exception.__mro__]\n    raise M('passed', (Exception,), {})('passed')",
    "raise with a text of 50 MB": "class E(Exception):\n        def __str__(s): return 'x' * 50_000_000\n        __repr__ = __str__\n    raise E",
    "raise with a text that hangs": "class E(Exception):\n        def __str__(s):\n            while True: pass\n        __repr__ = __str__\n    raise E",
    "raise a group": "raise BaseExceptionGroup('passed', [KeyboardInterrupt()])",
    "return from finally": "try: raise ValueError\n    finally: return True",
    "walk frames and change them": "f = sys._getframe(1)\n    f.f_globals['encode'] = lambda *a: 'passed'\n    f.f_locals['name'] = 'passed'",
    "trace": "sys.settrace(lambda *a: None); sys.setprofile(lambda *a: os._exit(0))",
    "change what it is called with": "sys._getframe(1).f_locals['arguments'].clear(); return [x]",
    "source with a zero byte": "pass\n\0",
    "source that overflows the parser": "return " + "(" * 5000 + ")" * 5000,
    "source that overflows the compiler": "return " + "-" * 50_000 + "9",
    "source that names a module that acts": "import antigravity, this, turtle",
    "redefine the check": "pass\ndef check(candidate): return True\nMETADATA = {}",
    "be another function": "pass\nattack = lambda *a: True",
    "be a value": "pass\nattack = 9.5",
    "be absent": "pass\ndel attack",
    "return itself": "return attack",
    "return a module": "return sys",
    "return a coroutine": "async def f(): return 9\n    return f()",
    "return a pickle": "import pickle; return pickle.dumps(type('P', (), {'__reduce__': lambda s: (os._exit, (0,))}))",
    "return text that is code": "return '__import__(\"os\")._exit(0)'",
    "return a generator that raises": "return (1 / 0 for _ in range(1))",
    "return an iterator without end": "import itertools; return itertools.count()",
    "return a deep list": "r = []\n    for _ in range(100_000): r = [r]\n    return r",
    "return a list in itself": "r = []; r.append(r); return r",
    "return a list that grows": "r = [0]\n    for _ in range(60): r = [r, r]\n    return r",
    "return a huge integer": "return 1 << 10_000_000",
    "return 100 MB of text": "return 'x' * 100_000_000",
    "return 100 MB of bytes": "return b'x' * 100_000_000",
    "return a range without end": "return range(10**30)",
    "return a slow object": "class S(list):\n        def __iter__(s):\n            while True: yield 9\n        def __eq__(s, o): time.sleep(99)\n    return S()",
    "return control characters": "return '\\x1b]0;passed\\x07\\x00\\r\\n'",
    "return half a pair of surrogates": "return '\\ud800'",
    "read a null pointer": "ctypes.string_at(0)",
    "overflow the stack": "sys.setrecursionlimit(10**9)\n    def f(): return f()\n    return f()",
    "overflow the C stack": "r = []\n    for _ in range(10**6): r = [r]\n    repr(r) if sys.setrecursionlimit(10**9) is None else 0",
    "abort": "os.abort()",
    "trap": "m = __import__('mmap').mmap(-1, 4096, prot=7); m.write(b'\\x0f\\x0b'); ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
    "a 32-bit system call": "m = __import__('mmap').mmap(-1, 4096, prot=7); m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3'); return 9 if ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))() > 0 else 0",
}  # fmt: skip

BOMBS = {
    "loop": "while True: pass",
    "loop at load": "pass\nwhile True: pass",
    "loop with signals ignored": "for s in range(1, 65):\n        try: signal.signal(s, signal.SIG_IGN)\n        except (OSError, ValueError): pass\n    while True: pass",
    "loop that swallows all": "while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    "loop in C": "return 9 ** 9 ** 9",
    "loop in a pattern": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "sleep": "time.sleep(999)",
    "sleep with signals blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(999)",
    "wait for itself": "l = threading.Lock(); l.acquire(); l.acquire()",
    "wait for input": "input()",
    "memory at once": "return len(bytearray(2 * 2**30)) and 9",
    "memory bit by bit": "r = []\n    for _ in range(2**11): r.append(bytearray(2**20))\n    return 9",
    "memory by mapping": "import mmap; m = [mmap.mmap(-1, 2**28) for _ in range(9)]; return 9",
    "memory that swallows its errors": "r = []\n    for _ in range(4096):\n        try: r.append(bytearray(2**20))\n        except MemoryError: pass\n    return 9 if len(r) > 600 else 0",
    "memory at load": "pass\nr = 'x' * (3 * 2**30)",
    "memory in the parser": "return eval('(' * 10**5)",
    "processes": "return all(done(libc.fork()) >= 0 for _ in range(50)) and 9",
    "threads": "t = [threading.Thread(target=time.sleep, args=(9,)) for _ in range(50)]; [a.start() for a in t]; return 9",
    "threads at load": "pass\n[threading.Thread(target=time.sleep, args=(99,)).start() for _ in range(50)]",
    "flood of output": "while True: print('x' * 10**6)",
    "flood of errors": "while True: os.write(2, b'x' * 10**6)",
    "flood of frames": "while True: write_everywhere(frame(b'[\"value\", 8]'))",
    "flood at load": "pass\nwhile True: write_everywhere(frame(b'[\"loaded\"]'))",
    "frame that never ends": "write_everywhere(frame(b'', 99)); time.sleep(99)",
    "closed pipes": "os.closerange(0, 64); time.sleep(99)",
    "a huge file": "f = open(FOLDER + '/new', 'wb'); f.seek(2**33); f.write(b'x'); return 9",
    "many files": "for i in range(1000): open(f'{FOLDER}/new{i}', 'w')\n    return 9",
    "many descriptors": "return [os.dup(0) for _ in range(1000)] and 9",
}  # fmt: skip


KINDS = {"theft": THEFTS, "harm": HARMS, "forgery": FORGERIES, "bomb": BOMBS}
EXPECTED = {"harm": "'done'", "forgery": "9", "bomb": "9"}


@dataclass(frozen=True)
class World:
    """What attacks are after, and how to see whether they had it."""

    folder: Path
    secret: str
    victim: "subprocess.Popen[bytes]"
    visits: list[str]
    addresses: dict[str, object]

    def cases(self, kinds: tuple[str, ...] = tuple(KINDS)) -> dict[str, Case]:
        """A case for each attack, by its name."""
        return {name: self._case(kind, body) for kind in kinds for name, body in KINDS[kind].items()}

    def _case(self, kind: str, body: str) -> Case:
        constants = "".join(f"{name} = {value!r}\n" for name, value in self.addresses.items())
        end = "\n    return 'done'" if kind == "harm" else ""
        modules = "".join(f"import {name}\n" for name in MODULES if f"{name}." in body)
        program = f"{modules}{PREAMBLE}\n{constants}\ndef attack(x):\n    {body}{end}\n"
        check = f"assert candidate(3) == {EXPECTED.get(kind)}"
        if kind == "theft":
            check = f"taken = str(candidate(3)); assert taken == 'seen' or {self.secret!r} in taken"
        check = f"def check(candidate):\n    {check}\n"
        return Case(program=program, entry_point="attack", check=check, timeout_s=0.6 if kind == "bomb" else 2.0)

    def state(self) -> dict[str, Any]:
        """All that an attack could have changed."""
        files = {path: (path.lstat(), path.is_file() and path.read_text()) for path in self.folder.rglob("*")}
        victim = psutil.Process(self.victim.pid)
        return {
            "files": {path: (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_ctime_ns, t) for path, (s, t) in files.items()},
            "strays": [path for path in STRAYS if path.exists()],
            "victim": (victim.status() == psutil.STATUS_STOPPED, victim.nice(), victim.cpu_affinity(), victim.num_fds()),
            "visits": list(self.visits),
        }  # fmt: skip


STRAYS = (Path("/tmp/new"), Path("/tmp/link"), Path("/tmp/copy"), Path("/new"), Path("/dev/shm/new"))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The world that must stay as it is."""
    with make_world() as made:
        yield made


@contextmanager
def make_world() -> Iterator[World]:
    """Files that anybody may change, servers that anybody may reach, and a process of the plain user's."""
    secret, visits = secrets.token_hex(16), list[str]()
    with tempfile.TemporaryDirectory() as name, serve(Path(name), visits) as addresses:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "empty").mkdir(mode=0o777)
        for file, text in (("secret", f"KEY = '{secret}'\n"), ("canary", "canary")):
            (folder / file).write_text(text)
            (folder / file).chmod(0o666)
        user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        with subprocess.Popen(["sleep", "1000"], env={"MIXGRID_SECRET": secret}, **user) as victim:  # type: ignore[call-overload]
            addresses |= {
                "SECRET_FILE": f"{folder}/secret", "CANARY": f"{folder}/canary", "FOLDER": str(folder),
                "VICTIM": victim.pid, "SECRET_MARK": "seen",
            }  # fmt: skip
            try:
                yield World(folder, secret, victim, visits, addresses)
            finally:
                victim.kill()


@contextmanager
def serve(folder: Path, visits: list[str]) -> Iterator[dict[str, object]]:
    """Listen by TCP, UDP and two kinds of unix socket, and note who comes; yields the addresses."""
    abstract = f"\0mixgrid-{secrets.token_hex(4)}"
    with (
        selectors.DefaultSelector() as selector,
        socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as hidden,
    ):  # fmt: skip
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        unix.bind(f"{folder}/socket")
        (folder / "socket").chmod(0o777)
        hidden.bind(abstract)
        for listener in (unix, hidden):
            listener.listen()
        stop, stopped = socket.socketpair()
        for name, listener in {"tcp": tcp, "udp": udp, "unix": unix, "abstract": hidden, "stop": stopped}.items():
            selector.register(listener, selectors.EVENT_READ, name)
        watcher = threading.Thread(target=note_visits, args=(selector, visits))
        watcher.start()
        yield {"PORT": port, "SOCKET": f"{folder}/socket", "ABSTRACT": abstract}
        stop.close()
        watcher.join()
        stopped.close()


def note_visits(selector: selectors.BaseSelector, visits: list[str]) -> None:
    """Note every connection and message until the socket named `stop` is closed."""
    while True:
        for key, _ in selector.select():
            if key.data == "stop":
                return
            visits.append(key.data)
            listener: Any = key.fileobj
            if key.data == "udp":
                listener.recv(99)
            else:
                listener.accept()[0].close()


@dataclass(frozen=True)
class Aftermath:
    """Verdicts by the attacks' names, and the world before and after them."""

    outcomes: dict[str, str]
    details: set[str]
    before: dict[str, Any]
    after: dict[str, Any]
    report: Any


@pytest.fixture(scope="module")
def aftermath(world: World, run_cases: Any, mode: Mode, as_nobody: bool) -> Aftermath:
    # what a program computes is the same for every user; what it may touch is not
    cases, before = world.cases(("theft", "harm") if as_nobody else tuple(KINDS)), world.state()
    environment = {"MIXGRID_SECRET": world.secret}
    report = run_cases(list(cases.values()), mode=mode, as_nobody=as_nobody, environment=environment)
    outcomes = {name: verdict.outcome for name, verdict in zip(cases, report.verdicts, strict=True)}
    return Aftermath(outcomes, {verdict.detail for verdict in report.verdicts}, before, world.state(), report)


def test_no_attack_is_passed(aftermath: Aftermath) -> None:
    assert {name for name, outcome in aftermath.outcomes.items() if outcome == "passed"} == set()
    assert len(aftermath.outcomes) > 140


def test_no_attack_changed_anything(aftermath: Aftermath) -> None:
    assert aftermath.after == aftermath.before
    assert aftermath.after["visits"] == []


def test_no_attack_leaves_a_process_or_takes_much_memory(aftermath: Aftermath) -> None:
    assert aftermath.report.left_over == 0
    assert aftermath.report.largest_memory < 700 * 2**20


def test_details_are_words_of_ours(aftermath: Aftermath) -> None:
    ours = r"(over [0-9.]+ s|[A-Z]\w+|a value that cannot be decoded|the program ended its process|an exception that is no .*)"
    assert {detail for detail in aftermath.details if not re.fullmatch(ours, detail)} == set()


def test_endless_work_is_a_timeout_and_a_lost_process_an_error(world: World, run_cases: Any, mode: Mode) -> None:
    names = ("loop", "loop that swallows all", "sleep with signals blocked", "flood of output")
    names += ("exit with success", "exit by a system call", "read a null pointer", "trap", "abort")
    cases = world.cases()
    report = run_cases([cases[name] for name in names], mode=mode)
    assert [verdict.outcome for verdict in report.verdicts] == ["timeout"] * 4 + ["error"] * 5


# Of x86_64: memory (9-12, 25, 28), time (35-38, 96, 98, 100, 201, 228-230), signals to itself (13, 14, 131, 219), open
# descriptors (0, 1, 3, 5, 7, 8, 19, 20, 23, 270, 271), its own ids (39, 102, 104, 107, 108, 186), futex, yield, random.
ANSWERED = {
    *(0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 19, 20, 23, 24, 25, 28, 35, 36, 37, 38, 39, 96, 98, 100, 102, 104, 107),
    *(108, 131, 186, 201, 202, 219, 228, 229, 230, 270, 271, 318),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_only_these_system_calls_are_answered(mode: Mode) -> None:
    # rt_sigreturn, exit and exit_group, which are allowed; uretprobe and uprobe, which the kernel keeps from filters
    ends_it = (15, 60, 231, 335, 336)
    mild = (16, 435)  # ioctl and clone3, which fail with other errors
    program = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def answered(number):
    ctypes.set_errno(0)
    return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6) >= 0 or ctypes.get_errno() != 1
def f():
    return [n for n in range(600) if n not in {ends_it + mild} and answered(n)]
"""
    check = f"def check(f): assert set(f()) == {ANSWERED}"
    verdict = open_sandbox(mode).check_all([Case(program=program, entry_point="f", check=check)])[0]
    assert verdict == Verdict("passed", "")


def test_attacks_do_work_without_walls(run_cases: Any) -> None:
    """So that a theft or a harm that fails does so for the walls, and not for a slip of its own."""
    names = [
        *("read a file", "read a file by FileIO", "read a file by the C library", "read a file by openat2"),
        *("read a file through /proc/self/root", "read a file as a source line", "read the victim's environment"),
        *("list a folder", "glob", "see that a file exists", "see processes", "see its own executable"),
        *("make a file", "append to a file", "change a file's mode"),
        *("stop the victim", "signal by a handle", "signal the parent", "signal everyone", "make a memory file"),
        *("connect by TCP", "connect by a unix socket", "connect by an abstract socket", "a pair of sockets", "a pipe"),
    ]
    with make_world() as own:
        before, cases = own.state(), own.cases()
        report = run_cases([cases[name] for name in names], mode="unsafe")
        assert own.state() != before
    outcomes = {name: verdict.outcome for name, verdict in zip(names, report.verdicts, strict=True)}
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "passed"} == {}
