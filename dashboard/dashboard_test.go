package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// hangGuard bounds every wait for a condition. It is no expectation of speed.
const hangGuard = 2 * time.Minute

// await looks until it holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangGuard)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// rig is a dashboard over a spool of its own.
type rig struct {
	t   *testing.T
	dir string
	q   *fsq.Queue
	d   *Dashboard
}

func newRig(t *testing.T, opts ...func(*Options)) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	q, err := fsq.Open(dir, fsq.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Dir: dir}
	for _, o := range opts {
		o(&opt)
	}
	d, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return &rig{t: t, dir: dir, q: q, d: d}
}

// put enqueues a job with a document, and returns its id.
func (r *rig) put(doc string) string { return r.putIn(r.q, doc) }

func (r *rig) putIn(q *fsq.Queue, doc string) string {
	r.t.Helper()
	j, err := fsq.ParseJob([]byte(doc), time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	if j, err = q.Enqueue(r.t.Context(), j); err != nil {
		r.t.Fatal(err)
	}
	return j.ID
}

// enqueue enqueues commands.
func (r *rig) enqueue(commands ...string) (ids []string) {
	r.t.Helper()
	for _, c := range commands {
		j, err := r.q.Enqueue(r.t.Context(), fsq.Job{Command: fsq.Command{Shell: c}})
		if err != nil {
			r.t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	return ids
}

// queue makes another queue.
func (r *rig) queue(name string) *fsq.Queue {
	r.t.Helper()
	q, err := fsq.OpenQueue(r.dir, name, fsq.DefaultConfig())
	if err != nil {
		r.t.Fatal(err)
	}
	return q
}

// work runs all that is due, and tells of each end.
func (r *rig) work() {
	r.t.Helper()
	w := r.q.NewWorker(fsq.WorkerOptions{Slots: 1, Drain: true})
	if err := w.Run(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) state(id string) fsq.State {
	r.t.Helper()
	i, err := r.q.Get(r.t.Context(), id)
	if err != nil {
		return fsq.State(err.Error())
	}
	return i.State
}

// request makes one from this machine.
func (r *rig) request(method, path, body string, header ...string) *http.Request {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	req.Host, req.RemoteAddr = "localhost:3000", "127.0.0.1:40000"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if h := req.Header.Get("Host"); h != "" {
		req.Host = h
	}
	return req
}

func (r *rig) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.d.ServeHTTP(w, r.request(method, path, body, header...))
	return w
}

func (r *rig) get(path string, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", header...)
}

// object is the answer as JSON.
func object(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	if v["schema_version"] != 1.0 {
		t.Errorf("schema_version is missing: %s", w.Body)
	}
	return v
}

// form makes a header of a request a plain form's.
func form() []string {
	return []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}
}

// A spool that is gone is no empty one: whoever looks is told, until it is back.
func TestSpoolIsGone(t *testing.T) {
	for _, only := range [][]string{nil, {fsq.DefaultQueue}} {
		r := newRig(t, func(o *Options) { o.Queues = only })
		id := r.put(`{"command":"true"}`)
		_, leave := r.d.scan.look()
		defer leave()
		page := []string{"Accept", "text/html"}
		status := func(path string) int { return r.get(path, page...).Code }
		if n := status("/api/v1/status"); n != 200 {
			t.Fatal(n)
		}
		if err := os.Rename(r.dir, r.dir+".moved"); err != nil {
			t.Fatal(err)
		}
		await(t, "it is seen to be gone", func() bool { return status("/api/v1/status") == 503 })
		for path, want := range map[string]int{
			"/api/v1/jobs": 503, "/api/v1/queues": 503, "/api/v1/queues/default": 503, "/api/v1/workers": 503, "/api/v1/stats": 503,
			"/api/v1/jobs/" + id: 503, "/api/v1/dead": 503, "/metrics": 503, "/readyz": 503, "/jobs": 503, "/jobs/" + id: 503,
			"/": 200, "/queues": 200, "/workers": 200, "/healthz": 200,
		} {
			if n := status(path); n != want {
				t.Errorf("%s: %d, want %d", path, n, want)
			}
		}
		if text := r.get("/", page...).Body.String(); !strings.Contains(text, "is gone since 2") || strings.Contains(text, "There is no spool yet") {
			t.Errorf("%s", text)
		}
		if err := os.Rename(r.dir+".moved", r.dir); err != nil {
			t.Fatal(err)
		}
		await(t, "it is back", func() bool {
			w := r.get("/api/v1/status")
			return w.Code == 200 && strings.Contains(w.Body.String(), `"pending":1`)
		})
		// Another spool in its place is followed.
		if err := os.RemoveAll(r.dir); err != nil {
			t.Fatal(err)
		}
		await(t, "it is gone again", func() bool { return status("/api/v1/status") == 503 })
		q, err := fsq.Open(r.dir, fsq.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		r.putIn(q, `{"command":"true"}`)
		r.putIn(q, `{"command":"true"}`)
		await(t, "the other one is seen", func() bool { return strings.Contains(r.get("/api/v1/status").Body.String(), `"pending":2`) })
	}
}
