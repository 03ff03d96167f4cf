"""The `weft` command: asks the controller and the lab's supervisor over their sockets, and shows the answers."""
