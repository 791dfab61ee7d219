"""What an operator calls: the first task, the checks of a cluster, the choice of a cluster."""
