//go:build linux && (amd64 || arm64)

package main

import (
	"os"
	"strings"
	"testing"
)

// edit: the job has its old document or its new one, whole, and once its id is printed
// the new one; it is found at any time, its id stays taken, and it runs once.
func TestEditKilled(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"chosen", ""} {
		name := id
		if id == "" {
			name = "generated"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin := newRig(t)
			j := job{"command": `echo old >>"$DIR/ran"`}
			if id != "" {
				j["id"] = id
			}
			id := origin.enqueue(j)[0]
			args := []string{"edit", id, "--json-file", origin.path("new.json")}
			document := job{"command": `echo new >>"$DIR/ran"`, "priority": 7}.String()
			if err := os.WriteFile(origin.path("new.json"), []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			whole, _ := copyOf(t, origin).killed(0, args...)
			everyGap(t, len(whole.calls), func(t *testing.T, k int) {
				r := copyOf(t, origin)
				_, out := r.killed(k, args...)
				told := strings.Contains(out, id)
				found := r.show(id)
				isNew := strings.Contains(found.Command.String(), "new")
				if told && !isNew {
					t.Errorf("edited, it says, and the command is %s", found.Command)
				}
				if isNew != (found.Priority == 7) {
					t.Errorf("priority %d, command %s", found.Priority, found.Command)
				}
				if name == "chosen" {
					if res := r.run("enqueue", job{"id": id, "command": "true"}.String()); res.code != exitConflict {
						t.Errorf("a second job with its id: exit status %d\n%s", res.code, res.stderr)
					}
				}
				if k%2 == 0 {
					r.repair()
				}
				r.runDry()
				ran := r.lines("ran")
				if len(ran) != 1 || isNew && ran[0] != "new" || ran[0] != "old" && ran[0] != "new" {
					t.Errorf("it ran as %q", ran)
				}
				ended(t, r.all()[id], "done", 1, len(ran))
				r.repair()
				r.sound()
			})
		})
	}
}
