"""RCO beside what users would pick instead: the same questions, the same run, the same machine.

``python -m bench.peers [--out FILE] [--write] [PEER...]``, or ``make bench-peers``. One peer is one file here, behind
the contract in ``bench.peers.contract``. Each runs in an environment of its own under ``.bench/``, from versions pinned
in ``bench/peers/pins``, and each question is put to each in a process of its own, round by round, so that a noisy
minute touches all alike. What cannot be installed or does not finish says why in the table, and never gets a figure.
"""
