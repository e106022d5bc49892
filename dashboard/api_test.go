package dashboard

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

func writeDrop(dir, name, text string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
}

// Each call answers with the object that API.md names, in JSON.
func TestCalls(t *testing.T) {
	r := newRig(t)
	r.mixed()
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/api/v1/status", 200, `"pending":2,"scheduled":1,"retrying":1,"held":1,"processing":0,"done":1,"dead":1,"cancelled":1`},
		{"/api/v1/stats", 200, `"completed":1`},
		{"/api/v1/stats?queue=mail", 200, `"queue":"mail","completed":0`},
		{"/api/v1/stats?queues=mail", 400, `there is no parameter`},
		{"/api/v1/history", 200, `"step_seconds":60`},
		{"/api/v1/history?queue=mail&span=30d&step=6h", 200, `"queue":"mail"`},
		{"/api/v1/history?span=long", 400, `span must be`},
		{"/api/v1/history?span=40d", 400, `span must be 31d at most`},
		{"/api/v1/jobs/dead/logs/stdout?tail=1GiB", 400, `tail must be 64MiB at most`},
		{"/api/v1/jobs", 200, `"total":8`},
		{"/api/v1/jobs?state=dead", 200, `"id":"dead"`},
		{"/api/v1/jobs?state=none", 400, `no such state`},
		{"/api/v1/jobs?state=waiting&limit=1", 200, `"more":true`},
		{"/api/v1/jobs?states=dead", 400, `did you mean \"state\"?`},
		{"/api/v1/jobs?queue=none", 404, `queue \"none\": not found`},
		{"/api/v1/jobs?after=nonsense", 400, `after`},
		{"/api/v1/jobs/dead", 200, `"attempt_records":[{`},
		{"/api/v1/jobs/nosuch", 404, `not found`},
		{"/api/v1/jobs/nosuch?queue=mail", 404, `not found`},
		{"/api/v1/jobs/held/explain", 200, `"reason":"held"`},
		{"/api/v1/jobs/nosuch/explain", 404, `not found`},
		{"/api/v1/dead", 200, `"jobs":[{"id":"dead"`},
		{"/api/v1/dead/groups", 200, `"count":1`},
		{"/api/v1/dead/groups?queue=mail", 200, `"groups":[]`},
		{"/api/v1/queues", 200, `"queue":"mail"`},
		{"/api/v1/queues/mail", 200, `"pending":1`},
		{"/api/v1/queues/none", 404, `not found`},
		{"/api/v1/queues/mail/config", 200, `{"key":"max-retries","value":"3","origin":"default"`},
		{"/api/v1/queues/none/config", 404, `not found`},
		{"/api/v1/workers", 200, `"workers":[]`},
		{"/api/v1/version", 200, `"read_only":false`},
		{"/api/v1/nothing", 404, `there is nothing at`},
	} {
		w := r.get(c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s, want %d and %s", c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.want)
			continue
		}
		object(t, w)
	}
	// Page by page, each job once.
	var ids []string
	for after := ""; ; {
		doc := object(t, r.get("/api/v1/jobs?limit=3&after="+after))
		for _, j := range doc["jobs"].([]any) {
			ids = append(ids, j.(map[string]any)["id"].(string))
		}
		if after = doc["next"].(string); after == "" {
			break
		}
	}
	slices.Sort(ids)
	if have := fmt.Sprint(ids); have != "[cancelled dead done held mail-pending pending retrying scheduled]" {
		t.Error(have)
	}
}

// The output of a job is sent as a file, whatever it pretends to be.
func TestLogs(t *testing.T) {
	r := newRig(t)
	id := r.put(`{"command":"printf '<script>alert(1)</script>\n0123456789'; printf x >&2; exit 1","max_retries":1,"backoff_base":0.001,"id":"a \"b\""}`)
	r.work()
	await(t, "the second attempt", func() bool { r.work(); return r.state(id) == "dead" })
	const path = "/api/v1/jobs/a%20%22b%22/logs/"
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{path + "stdout", 200, "<script>alert(1)</script>\n0123456789"},
		{path + "stdout?attempt=1&tail=4", 200, "6789"},
		{path + "stdout?tail=1KiB", 200, "<script>alert(1)</script>\n0123456789"},
		{path + "stderr?attempt=2", 200, "x"},
		{path + "stdout?attempt=3", 404, "it has had 2"},
		{path + "stdout?attempt=0", 400, "attempt must be"},
		{path + "stdout?tail=-1", 400, "tail must be"},
		{path + "stdout?lines=1", 400, "there is no parameter"},
		{path + "stdin", 404, "there are stdout and stderr"},
		{"/api/v1/jobs/nosuch/logs/stdout", 404, "not found"},
	} {
		w := r.get(c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
		if w.Code != 200 {
			continue
		}
		h := w.Header()
		if w.Body.String() != c.want || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" ||
			!regexp.MustCompile(`^attachment; filename="a__b_\.a[12]\.std(out|err)\.txt"$`).MatchString(h.Get("Content-Disposition")) {
			t.Errorf("%s: %q %v", c.path, w.Body, h)
		}
	}
	if w := r.do(http.MethodHead, path+"stdout", ""); w.Body.Len() != 0 || w.Header().Get("Content-Length") != "36" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// API.md describes each route, and none that is not there.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile("API.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^### `((?:GET|POST) /[^ `?]*)").FindAllStringSubmatch(string(data), -1) {
		described[strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(m[1], "ID", "{id}"), "NAME", "{name}"), "STREAM", "{stream}")] = true
	}
	d := &Dashboard{}
	for _, route := range d.apiRoutes() {
		pattern := strings.ReplaceAll(route.pattern, "{action}", "ACTION")
		if !described[pattern] {
			t.Errorf("%s is not described", pattern)
		}
		delete(described, pattern)
	}
	for left := range described {
		if strings.Contains(left, "/api/") {
			t.Errorf("%s is described, and not there", left)
		}
	}
	for action, done := range doneWords {
		if !strings.Contains(string(data), "| `"+action+"` | `"+done+"`") {
			t.Errorf("the action %s is not described", action)
		}
		if len((fsq.Act{Action: action}).States()) == 0 {
			t.Errorf("fsq knows no action %s", action)
		}
	}
	for _, key := range filterKeys {
		if !strings.Contains(string(data), "| `"+key+"` |") {
			t.Errorf("the word %s of the filter is not described", key)
		}
	}
}
