"""The checks of ``rco doctor``, one file a thing that is looked at."""
