"""What measures: a scratch database, an engine with everything on, the raw limits beside it, and what both cost.

``rco bench`` and the project's own ``bench/`` take their figures with the same pieces.
"""
