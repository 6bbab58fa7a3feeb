"""The control plane: HTTP on a Unix socket, and on a loopback port where one is configured."""
