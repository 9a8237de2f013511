"""Commands for a new installation: what is installed (`doctor`), and a first result (`demo`)."""
