"""One cluster: the system as Kubernetes objects and images, and their way there."""
