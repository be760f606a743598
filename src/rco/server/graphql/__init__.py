"""``/graphql``: the read side of the control API as one graph, and the three mutations that a capability opens.

Loaded only where it is asked for: the library behind it is the extra ``graphql``.
"""
