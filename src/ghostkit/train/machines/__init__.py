"""Which device a process computes on, and how the processes of one training speak to each other."""
