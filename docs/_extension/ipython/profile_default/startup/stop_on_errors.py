"""Start-up of the notebooks: a failing terminal command stops the build; a bad verdict does not."""

from IPython import get_ipython

_shell = get_ipython()
_run = _shell.system


def _checked(command):
    _run(command)
    code = _shell.user_ns.get("_exit_code", 0)
    if code not in (0, 4):
        msg = f"exit code {code}: {command}"
        raise RuntimeError(msg)


_shell.system = _checked
