package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

// verdict is what others make of one object.
type verdict struct {
	KStatus string `json:"kstatus"`
	Health  string `json:"health"`
	Message string `json:"message"`
}

// judge lets kstatus and a health check of Argo CD's sort look at objects.
func judge(ctx context.Context, file string, input io.Reader) error {
	script, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		// Not encoding/json: its numbers are no integers.
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return err
		}
		said, err := judgeOne(ctx, string(script), object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		line, err := json.Marshal(said)
		if err != nil {
			return err
		}
		say("%s", line)
	}
	return lines.Err()
}

func judgeOne(ctx context.Context, script string, object *unstructured.Unstructured) (*verdict, error) {
	computed, err := status.Compute(object)
	if err != nil {
		return nil, err
	}
	table, err := runHealthCheck(ctx, script, object)
	if err != nil {
		return nil, err
	}
	word, message := table.RawGetString("status"), table.RawGetString("message")
	if word.Type() != lua.LTString || message.Type() != lua.LTString {
		return nil, errors.New("the script gave no status or no message")
	}
	return &verdict{KStatus: computed.Status.String(), Health: word.String(), Message: message.String()}, nil
}

// runHealthCheck does it with the interpreter of Argo CD, and with no more of Lua's libraries than a script has there.
func runHealthCheck(ctx context.Context, script string, object *unstructured.Unstructured) (*lua.LTable, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	state.SetContext(ctx)
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returned no table but %s", state.Get(-1).Type())
	}
	return table, nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
