package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/queuectl/queuectl/fsq"
)

// viewer is a page that is open.
type viewer struct {
	t      *testing.T
	lines  *bufio.Scanner
	answer *http.Response
}

// view opens the events of a dashboard. An idle connection would be no leak of the dashboard,
// and look like one: each viewer has a client of its own.
func view(ctx context.Context, t *testing.T, url string, header ...string) *viewer {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return &viewer{t, bufio.NewScanner(answer.Body), answer}
}

// next is the next change; false if the stream ended.
func (v *viewer) next() (e changeEvent, ok bool) {
	for v.lines.Scan() {
		data, found := strings.CutPrefix(v.lines.Text(), "data: ")
		if !found {
			continue
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			v.t.Errorf("%s: %v", data, err)
		}
		return e, true
	}
	return e, false
}

// A hundred who look cost one scan, and are all told of a change. When they leave, nothing
// of them stays, and some time later nothing looks at the spool any more.
func TestManyViewersOneScan(t *testing.T) {
	r := newRig(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r.put(`{"command":"true"}`)
	r.d.scan.linger = time.Millisecond
	srv := httptest.NewServer(r.d)
	defer srv.Close()
	ctx, leave := context.WithCancel(t.Context())
	const many = 100
	var seen, changed sync.WaitGroup
	versions := make([][]uint64, many)
	for i := range many {
		v := view(ctx, t, srv.URL+"/events")
		if kind := v.answer.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Fatal(kind)
		}
		seen.Add(1)
		changed.Go(func() {
			defer v.answer.Body.Close()
			first, ok := v.next()
			seen.Done()
			second, ok2 := v.next()
			if !ok || !ok2 || second.Version <= first.Version || second.At.IsZero() {
				t.Errorf("%v %v", first, second)
			}
			versions[i] = []uint64{first.Version, second.Version}
		})
	}
	seen.Wait()
	taken := r.taken()
	r.put(`{"command":"false"}`)
	changed.Wait()
	r.d.scan.mu.Lock()
	scans, took := r.d.scan.scans, r.d.scan.taken-taken
	r.d.scan.mu.Unlock()
	if scans != 1 {
		t.Errorf("%d viewers cost %d scans", many, scans)
	}
	if took > many/10 {
		t.Errorf("a change of which %d viewers were told took %d snapshots", many, took)
	}
	if s := r.d.snapshot(t.Context()); s.Status.Pending != 2 {
		t.Errorf("%+v", s.Status)
	}
	leave()
	await(t, "nobody looks, and nothing runs", func() bool {
		r.d.scan.mu.Lock()
		defer r.d.scan.mu.Unlock()
		return r.d.scan.round == nil && r.d.viewers.Load() == 0
	})
	r.d.Close()
}

func (r *rig) taken() int {
	r.d.scan.mu.Lock()
	defer r.d.scan.mu.Unlock()
	return r.d.scan.taken
}

// Who comes back with the version that he has seen is told of nothing until there is
// another; who comes with an older one is told at once.
func TestEventsAfterReconnect(t *testing.T) {
	r := newRig(t)
	srv := httptest.NewServer(r.d)
	defer srv.Close()
	id := r.put(`{"command":"true"}`)
	v := view(t.Context(), t, srv.URL+"/events?version=12")
	defer v.answer.Body.Close()
	first, ok := v.next()
	if !ok {
		t.Fatal("no event")
	}
	again := view(t.Context(), t, srv.URL+"/events", "Last-Event-ID", strconv.FormatUint(first.Version, 10))
	defer again.answer.Body.Close()
	if err := r.q.Hold(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if e, ok := again.next(); !ok || e.Version <= first.Version {
		t.Errorf("%+v after %+v", e, first)
	}
}

// There is a limit to how many look, and then one is told so.
func TestTooManyViewers(t *testing.T) {
	r := newRig(t)
	r.d.viewers.Store(maxViewers)
	if w := r.get("/events"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if n := r.d.viewers.Load(); n != maxViewers {
		t.Errorf("%d viewers are counted", n)
	}
}

// A server that is told to stop ends the events, and all that was begun for them.
func TestServeEndsWithViewers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r := newRig(t)
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.d.Serve(ctx, l) }()
	v := view(t.Context(), t, "http://"+l.Addr().String()+"/events")
	defer v.answer.Body.Close()
	if _, ok := v.next(); !ok {
		t.Fatal("no event")
	}
	stop()
	if _, ok := v.next(); ok {
		t.Error("an event after the end")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := r.d.snapshot(t.Context()); s == nil || s.Err == nil {
		t.Error("a dashboard that is closed still looks")
	}
}

// The snapshot has all queues, also one that is made while somebody looks; and a spool that
// is made later.
func TestSnapshotOfQueues(t *testing.T) {
	r := newRig(t)
	mail := r.queue("mail")
	r.put(`{"id":"a","command":"exit 3","max_retries":0}`)
	r.putIn(mail, `{"id":"b","command":"true","run_at":"+1h"}`)
	r.work()
	_, leave := r.d.scan.look()
	defer leave()
	s := r.d.snapshot(t.Context())
	if len(s.Queues) != 2 || s.Queues[0].Name != fsq.DefaultQueue || s.Status.Dead != 1 || s.Status.Scheduled != 1 || s.queue("mail").Status.Scheduled != 1 || s.queue("none") != nil {
		t.Fatalf("%+v", s.Status)
	}
	if s.Disk == nil || s.Disk.FreeBytes <= 0 || s.queue("mail").Config.MaxRetries != 3 {
		t.Errorf("%+v", s.Disk)
	}
	other := r.queue("bulk")
	r.putIn(other, `{"command":"true"}`)
	await(t, "the new queue is seen", func() bool {
		q := r.d.snapshot(t.Context()).queue("bulk")
		return q != nil && q.Status.Pending == 1
	})
	if err := fsq.RemoveQueue(r.dir, "mail", true); err == nil {
		t.Error("a queue with a job was removed")
	}

	none := &Options{Dir: r.dir + "-later"}
	d, err := New(*none)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if s := d.snapshot(t.Context()); s.Err != nil || len(s.Queues) != 0 || s.Status.Workers == nil {
		t.Errorf("no spool: %v %+v", s.Err, s.Status)
	}
}
