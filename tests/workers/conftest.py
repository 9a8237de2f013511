"""Functions for tasks, in a module that child processes can import."""

import sys

import pytest

TASKS = '''
import ctypes, os, signal, sys, time
from rramfit.errors import FitError

def double(x):
    print("noise on standard output")
    return 2 * x

def where():
    return os.getcwd(), os.getpid()

def fail(x):
    raise ZeroDivisionError(f"no {x}")

def refuse():
    raise FitError("too little data")

def end(code):
    os._exit(code)

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def crash():
    ctypes.string_at(0)

def sleep(seconds):
    time.sleep(seconds)
    return seconds

def deaf(seconds):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)

def once(path):
    """Die at the first call, work at the second."""
    if not os.path.exists(path):
        open(path, "w").close()
        kill()
    return "second"

def step(x, pause=0.0):
    time.sleep(pause)
    return {"ok": double, "fail": fail, "end": end}[x[0]](x[1])

def unpicklable():
    return lambda: None
'''


@pytest.fixture(scope="session")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks_for_children.py").write_text(TASKS)
    sys.path.insert(0, str(folder))
    import tasks_for_children

    yield tasks_for_children
    sys.path.remove(str(folder))
