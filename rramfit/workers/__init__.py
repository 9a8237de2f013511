"""Tasks in other processes: in children of this one, or on a Dask cluster; shards of a work list.

In: an importable function and its tasks. Out: for each task its result, or how it was lost: the
function raised, the process ended, or the time limit passed. One lost task never ends the others.

Not here: what the tasks are. This package uses nothing else of rramfit but its errors.
"""

from rramfit.workers.child import Child, Lost
from rramfit.workers.run import run_tasks
from rramfit.workers.shards import Shard, shard_of_environment

__all__ = ["Child", "Lost", "Shard", "run_tasks", "shard_of_environment"]
