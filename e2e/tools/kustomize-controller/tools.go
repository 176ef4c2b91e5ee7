//go:build tools

// Package tools pins Flux's kustomize-controller, which the end-to-end tests
// let apply a Git repository: the module proxy is the only thing needed to
// build it.
package tools

import _ "github.com/fluxcd/kustomize-controller"
