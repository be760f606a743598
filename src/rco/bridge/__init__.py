"""The bridge: proves where a request comes from and turns it into a ``Delivery``.

Nothing from outside is authority inside: a delivery is evidence, not a permission.
"""
