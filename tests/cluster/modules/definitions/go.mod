// Definitions of the API objects that the test cluster knows beside Kubernetes' own; only read, never built.
module atoll/tests/cluster/definitions

go 1.26.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
