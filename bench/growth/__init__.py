"""How cost grows with work: ``python -m bench.growth [--most N] [--out FILE] [CURVE...]``, or ``make bench-growth``.

One curve a file in ``bench/growth/curves``. What is found goes to ``docs/performance/growth.json``, a plot for each
line beside it, and the section of ``docs/performance.md`` that embeds them is written anew: nothing there is drawn or
typed by hand. A curve that is asked alone replaces its own points and leaves the others.
"""
