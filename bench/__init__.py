"""The figures of this product on this machine, taken with everything on: fsync, evidence, metrics, limits.

``python -m bench [--out FILE] [QUESTION...]``, or ``make bench``. One question is one file in ``bench/questions``; each
of its rounds runs in a process of its own, and the rounds of all questions are interleaved, so that a noisy minute
touches all of them alike. Beside our own figures stand the raw limits of the machine from the same rounds; a ratio to
them says more than a rate, and CPU seconds say more than both.
"""
