"""The device of a process, and the communication between the processes of a training."""
