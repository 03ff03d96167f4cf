"""A cluster on one machine: nodes, pods and the outside world as network namespaces, under one supervisor."""
