"""The example application, its data, and real servers to run it on."""
