//go:build tools

// Package tools pins the real Kubernetes servers that the end-to-end tests run
// against: the module proxy is the only thing needed to build them.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
