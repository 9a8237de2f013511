"""A child process: results, exceptions, deaths and time limits."""

import time

import psutil
import pytest

from rramfit.errors import FitError
from rramfit.workers import Child, Lost
from rramfit.workers.child import call_twice


@pytest.fixture(scope="module")
def child():
    one = Child()
    yield one
    one.close()


def test_a_result_whatever_is_printed(child, tasks):
    assert child.call(tasks.double, 21) == 42


def test_one_process_makes_all_calls_in_the_folder_asked_for(child, tasks, tmp_path):
    folder, pid = child.call(tasks.where, folder=str(tmp_path))
    assert folder == str(tmp_path)
    assert child.call(tasks.where)[1] == pid == child.pid


def test_an_exception_comes_with_its_traceback_and_the_process_goes_on(child, tasks):
    pid = child.pid
    lost = child.call(tasks.fail, "luck")
    assert (lost.how, lost.summary, lost.error) == ("raised", "ZeroDivisionError: no luck", None)
    assert "tasks_for_children.py" in lost.text
    assert isinstance(child.call(tasks.refuse).error, FitError)
    assert child.call(tasks.unpicklable).how == "raised"
    assert child.pid == pid


@pytest.mark.parametrize(
    ("name", "arguments", "summary"),
    [("end", (7,), "exit code 7"), ("kill", (), "signal SIGKILL"), ("crash", (), "signal SIGSEGV")],
)
def test_a_process_that_ends_is_replaced(child, tasks, name, arguments, summary):
    lost = child.call(getattr(tasks, name), *arguments)
    assert (lost.how, lost.summary) == ("died", summary)
    assert ("Segmentation fault" in lost.text) == (name == "crash")
    assert child.call(tasks.double, 1) == 2


def test_the_time_limit_ends_a_call(tasks, monkeypatch):
    monkeypatch.setattr("rramfit.workers.child._GRACE", 0.3)
    child = Child()
    child.call(tasks.double, 1)
    for function in (tasks.sleep, tasks.deaf):
        start = time.monotonic()
        lost = child.call(function, 600, limit=1.0)
        assert (lost.how, lost.summary) == ("too long", "1 s")
        assert time.monotonic() - start < 60
    child.close()


def test_a_task_is_tried_twice_if_its_process_dies(child, tasks, tmp_path):
    assert call_twice(child, tasks.once, (str(tmp_path / "been"),), None) == "second"
    lost = call_twice(child, tasks.kill, (), None)
    assert isinstance(lost, Lost)
    assert lost.how == "died"


def test_closing_ends_the_process_and_a_closed_child_takes_no_calls(tasks):
    child = Child()
    child.call(tasks.double, 1)
    process = psutil.Process(child.pid)
    child.close()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert child.call(tasks.double, 1).how == "died"
