// Command clients does what programs written with client-go do, for the tests that they cannot tell which API server
// they talk to:
//
//	clients informer NAMESPACE        typed and dynamic shared informers; a line for each event, until SIGTERM
//	clients leader NAMESPACE NAME ID  leader election through a Lease; a line when it leads and when it stops
//	clients status NAMESPACE RESOURCE NAME STATUS   waits until kstatus computes this status from a watch
//	clients judge SCRIPT              for each object, a line of JSON on standard input: what kstatus and Argo CD say of it
//
// It reads KUBECONFIG (judge does not), ends on SIGTERM, and with an error after two minutes.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

const group, version = "storage.clawbernetes.io", "v1alpha1"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("client-go v0.34.4")
		return
	}
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "judge" {
		return judge(ctx, args[1], os.Stdin)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "informer":
		return inform(ctx, config, args[1])
	case len(args) == 4 && args[0] == "leader":
		return lead(ctx, config, args[1], args[2], args[3])
	case len(args) == 5 && args[0] == "status":
		return await(ctx, config, args[1], args[2], args[3], status.Status(args[4]))
	}
	return errors.New("usage: clients informer NAMESPACE | leader NAMESPACE NAME ID | status NAMESPACE RESOURCE NAME STATUS | judge SCRIPT")
}

var out = struct {
	sync.Mutex
	*bufio.Writer
}{Writer: bufio.NewWriter(os.Stdout)}

func say(format string, values ...any) {
	out.Lock()
	defer out.Unlock()
	fmt.Fprintf(out, format+"\n", values...)
	_ = out.Flush()
}

func inform(ctx context.Context, config *rest.Config, namespace string) error {
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	free, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(namespace))
	ours := dynamicinformer.NewFilteredDynamicSharedInformerFactory(free, 0, namespace, nil)
	volumes := schema.GroupVersionResource{Group: group, Version: version, Resource: "volumes"}
	all := map[string]cache.SharedIndexInformer{
		"configmap": maps.Core().V1().ConfigMaps().Informer(),
		"volume":    ours.ForResource(volumes).Informer(),
	}
	for kind, informer := range all {
		tell := func(what string, object any) {
			if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if m, ok := object.(metav1.Object); ok && m.GetName() != "kube-root-ca.crt" {
				say("%s %s %s %s", kind, what, m.GetName(), m.GetLabels()["x"])
			}
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { tell("added", object) },
			UpdateFunc: func(_, object any) { tell("updated", object) },
			DeleteFunc: func(object any) { tell("deleted", object) },
		}); err != nil {
			return err
		}
	}
	maps.Start(ctx.Done())
	ours.Start(ctx.Done())
	for kind, informer := range all {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return fmt.Errorf("%s never synced", kind)
		}
	}
	say("synced")
	<-ctx.Done()
	return ended(ctx)
}

func lead(ctx context.Context, config *rest.Config, namespace, name, id string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: id},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		ReleaseOnCancel: true,
		LeaseDuration:   4 * time.Second,
		RenewDeadline:   3 * time.Second,
		RetryPeriod:     250 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { say("leads %s", id) },
			OnStoppedLeading: func() { say("stopped %s", id) },
			OnNewLeader:      func(other string) { say("leader %s", other) },
		},
	})
	return ended(ctx)
}

func await(ctx context.Context, config *rest.Config, namespace, resource, name string, wanted status.Status) error {
	free, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	gvr := schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
	watcher, err := free.Resource(gvr).Namespace(namespace).Watch(ctx, metav1.SingleObject(metav1.ObjectMeta{Name: name}))
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok || event.Type == watch.Deleted {
			return fmt.Errorf("%s %v", event.Type, event.Object)
		}
		result, err := status.Compute(object)
		if err != nil {
			return err
		}
		say("%s %s", result.Status, result.Message)
		if result.Status == wanted {
			return nil
		}
	}
	return fmt.Errorf("%s/%s never became %s", resource, name, wanted)
}

// ended tells SIGTERM, which is how a test stops this program, from the time limit.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return nil
}
