"""HDF5 files read at arm's length, in a process of limited time and memory; sealing and checking.

In: a file from anywhere. Out: its groups, datasets and attributes, as h5py would show them, or an
`InputError`. The HDF5 library never runs on such a file in this process.

A file that rramfit writes is sealed: digests of its datasets and of its structure are checked while
it is read.
"""

from rramfit.hdf5.nodes import Dataset, Group, is_hdf5, open_hdf5

__all__ = ["Dataset", "Group", "is_hdf5", "open_hdf5"]
