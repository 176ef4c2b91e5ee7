// Command smd answers cases of server-side apply with the code of kube-apiserver itself, as the oracle that
// test/apiserver/apply/oracle.ts compares with. It reads one JSON document from stdin and writes one to stdout.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"
)

type input struct {
	// Definitions by name; kinds carry x-kubernetes-group-version-kind.
	Schemas map[string]map[string]*spec.Schema `json:"schemas"`
	Cases   []testCase                         `json:"cases"`
}

type testCase struct {
	Schema      string          `json:"schema"`
	Operation   string          `json:"operation"`
	Live        json.RawMessage `json:"live"`
	Object      json.RawMessage `json:"object"`
	APIVersion  string          `json:"apiVersion"`
	Kind        string          `json:"kind"`
	Manager     string          `json:"manager"`
	Subresource string          `json:"subresource"`
	Force       bool            `json:"force"`
	ResetFields []string        `json:"resetFields"`
}

type result struct {
	Object  map[string]interface{} `json:"object,omitempty"`
	Code    int32                  `json:"code,omitempty"`
	Message string                 `json:"message,omitempty"`
	Causes  []metav1.StatusCause   `json:"causes,omitempty"`
	// The fieldsV1 of each entry in the order of fieldpath.Set, which an unstructured object does not keep.
	Fields []string `json:"fields,omitempty"`
}

// identity stands for conversion, defaulting and creation: one version, no defaults.
type identity struct{ gv schema.GroupVersion }

func (c identity) Convert(in, out, context interface{}) error { return errors.New("not used") }

func (c identity) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	if gv, ok := target.(schema.GroupVersion); ok && gv != c.gv {
		return nil, runtime.NewNotRegisteredErrForTarget("oracle", nil, target)
	}
	return in, nil
}

func (c identity) ConvertFieldLabel(schema.GroupVersionKind, string, string) (string, string, error) {
	return "", "", errors.New("not used")
}

func (c identity) Default(runtime.Object) {}

func (c identity) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{Object: map[string]interface{}{}}
	u.SetGroupVersionKind(kind)
	return u, nil
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fatal(err)
	}
	converters := map[string]managedfields.TypeConverter{}
	for name, definitions := range in.Schemas {
		converter, err := managedfields.NewTypeConverter(definitions, false)
		if err != nil {
			fatal(fmt.Errorf("schema %s: %w", name, err))
		}
		converters[name] = converter
	}
	results := make([]result, 0, len(in.Cases))
	for i, c := range in.Cases {
		r, err := run(converters[c.Schema], c)
		if err != nil {
			fatal(fmt.Errorf("case %d: %w", i, err))
		}
		results = append(results, r)
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(converter managedfields.TypeConverter, c testCase) (result, error) {
	gv, err := schema.ParseGroupVersion(c.APIVersion)
	if err != nil {
		return result{}, err
	}
	gvk := gv.WithKind(c.Kind)
	id := identity{gv}
	var reset map[fieldpath.APIVersion]fieldpath.Filter
	if len(c.ResetFields) > 0 {
		set := fieldpath.NewSet()
		for _, field := range c.ResetFields {
			set.Insert(fieldpath.MakePathOrDie(field))
		}
		reset = fieldpath.NewExcludeFilterSetMap(map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(c.APIVersion): set})
	}
	manager, err := managedfields.NewDefaultCRDFieldManager(converter, id, id, id, gvk, gv, c.Subresource, reset)
	if err != nil {
		return result{}, err
	}
	liveObject, _ := id.New(gvk)
	live := liveObject.(*unstructured.Unstructured)
	if string(c.Live) != "null" {
		if err := utiljson.Unmarshal(c.Live, &live.Object); err != nil {
			return result{}, err
		}
	}
	object := &unstructured.Unstructured{Object: map[string]interface{}{}}
	if c.Operation == "Apply" {
		// The server reads configurations as YAML, so that all their numbers are floats.
		if err := yaml.Unmarshal(c.Object, &object.Object); err != nil {
			return result{}, err
		}
		out, err := manager.Apply(live, object, c.Manager, c.Force)
		return answer(out, err), nil
	}
	if err := utiljson.Unmarshal(c.Object, &object.Object); err != nil {
		return result{}, err
	}
	return answer(manager.UpdateNoErrors(live, object, c.Manager), nil), nil
}

func answer(object runtime.Object, err error) result {
	if err == nil {
		u := object.(*unstructured.Unstructured)
		r := result{Object: u.Object}
		for _, entry := range u.GetManagedFields() {
			set := &fieldpath.Set{}
			if err := set.FromJSON(bytes.NewReader(entry.FieldsV1.Raw)); err != nil {
				fatal(err)
			}
			text, err := set.ToJSON()
			if err != nil {
				fatal(err)
			}
			r.Fields = append(r.Fields, string(text))
		}
		return r
	}
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return result{Code: 500, Message: err.Error()}
	}
	s := status.Status()
	r := result{Code: s.Code, Message: s.Message}
	if s.Details != nil {
		r.Causes = s.Details.Causes
		sort.SliceStable(r.Causes, func(i, j int) bool {
			a, b := r.Causes[i], r.Causes[j]
			return a.Message+a.Field < b.Message+b.Field
		})
	}
	return r
}
