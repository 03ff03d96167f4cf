"""The Kubernetes-shaped objects that weft reads: parsed and validated at the door, frozen inside. Pure."""
