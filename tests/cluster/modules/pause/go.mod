// What keeps the namespaces of a pod, and of the whole test cluster, while everything else in them comes and goes.
module atoll/tests/cluster/pause

go 1.26.0
