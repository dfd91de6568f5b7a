"""Turns an OCI bundle into a running process. Standard library only.

plan        config.json → an ordered list of operations; pure
operations  what each operation does to the world
init        the forked child: carries a plan out, then execs
streams     a process's stdio: pipes or a terminal, attached clients, the log
logfile     the framed log format
shim        the process that is the parent of every container
protocol    what the engine and the shim say to each other
"""
