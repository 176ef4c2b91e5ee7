// Command kubectl is kubectl as k8s.io/kubernetes/cmd/kubectl builds it, from the modules that it is made of: the
// client of this version, for the tests that an old client works with the embedded API server.
package main

import (
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
