package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// mixed is a spool with a job in each state, each with the state as its id; those of mail
// have the queue's name before it.
func (r *rig) mixed() {
	r.t.Helper()
	r.put(`{"id":"done","command":"true"}`)
	r.put(`{"id":"dead","command":"echo out; echo err >&2; exit 3","max_retries":0,"tags":["x"]}`)
	r.put(`{"id":"retrying","command":"exit 4","backoff_base":3000}`)
	r.put(`{"id":"cancelled","command":"true","run_at":"+1h"}`)
	if _, err := r.q.Cancel(r.t.Context(), "cancelled"); err != nil {
		r.t.Fatal(err)
	}
	r.work()
	r.put(`{"id":"pending","command":"true","priority":5}`)
	r.put(`{"id":"scheduled","command":"true","run_at":"+1h"}`)
	r.put(`{"id":"held","command":"true"}`)
	if err := r.q.Hold(r.t.Context(), "held"); err != nil {
		r.t.Fatal(err)
	}
	mail := r.queue("mail")
	r.putIn(mail, `{"id":"mail-pending","command":"true"}`)
}

// Each action does to one job what the command does, or says why not.
func TestActions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action, id, body string
		status           int
		result           string    // or a part of the error
		state            fsq.State // afterwards
	}{
		{"retry", "dead", "", 200, "retried", fsq.Pending},
		{"retry", "cancelled", "", 200, "retried", fsq.Pending},
		{"retry", "done", "", 409, "is not dead but done", fsq.Done},
		{"retry", "nosuch", "", 404, "not found", ""},
		{"cancel", "pending", "", 200, "cancelled", fsq.Cancelled},
		{"cancel", "held", "", 200, "cancelled", fsq.Cancelled},
		{"cancel", "done", "", 409, "has ended already", fsq.Done},
		{"delete", "done", "", 200, "removed", ""},
		{"delete", "pending", "", 200, "removed", ""},
		{"hold", "pending", "", 200, "held", fsq.Held},
		{"hold", "dead", "", 409, "has ended already", fsq.Dead},
		{"release", "held", "", 200, "released", fsq.Pending},
		{"run-now", "scheduled", "", 200, "due now", fsq.Pending},
		{"run-now", "retrying", "", 200, "due now", fsq.Pending},
		{"set", "pending", `{"priority":9}`, 200, "changed", fsq.Pending},
		{"set", "pending", `{"run_at":"+2h"}`, 200, "changed", fsq.Scheduled},
		{"set", "pending", ``, 400, "must be given, or run_at", fsq.Pending},
		{"set", "pending", `{"priority":1000}`, 400, "from -999 to 999", fsq.Pending},
		{"set", "pending", `{"run_at":"soon"}`, 400, "run_at must be", fsq.Pending},
		{"set", "pending", `{"prio":1}`, 400, `unknown field "prio"`, fsq.Pending},
		{"set", "pending", `{"priority":1}{`, 400, "there is more", fsq.Pending},
		{"set", "pending", `{"priority":1,"filter":{}}`, 400, "leave out ids, filter", fsq.Pending},
		{"signal", "pending", `{"signal":"HUP"}`, 409, "does not run", fsq.Pending},
		{"signal", "pending", `{"signal":"NONE"}`, 400, "no such signal", fsq.Pending},
		{"hold", "pending", `{"signal":"HUP"}`, 400, "signal is for signal", fsq.Pending},
		{"hold", "pending", `{"priority":1}`, 400, "are for set", fsq.Pending},
		{"hold", "mail-pending", "", 200, "held", ""},
		{"explode", "pending", "", 404, "there is no action", fsq.Pending},
	} {
		t.Run(c.action+" "+c.id+" "+c.body, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.mixed()
			w := r.do("POST", "/api/v1/jobs/"+c.id+"/"+c.action, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), strings.ReplaceAll(c.result, `"`, `\"`)) {
				t.Errorf("%d %s, want %d and %q", w.Code, w.Body, c.status, c.result)
			}
			object(t, w)
			if s := r.state(c.id); c.state != "" && s != c.state {
				t.Errorf("it is %s, want %s", s, c.state)
			}
		})
	}
}

// Who has done what to a job is in its history, by the name of his token.
func TestActionsAreRemembered(t *testing.T) {
	r := newRig(t, withToken)
	id := r.put(`{"command":"true"}`)
	for i, token := range []string{secret, "another-token-of-nobody"} {
		if w := r.do("POST", "/api/v1/jobs/"+id+"/set", fmt.Sprintf(`{"priority":%d}`, i+1), "Authorization", "Bearer "+token); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	j, err := r.q.Get(t.Context(), id)
	if err != nil || len(j.Actions) != 2 || j.Actions[0].By != "dashboard alice" || j.Actions[1].By != "dashboard 127.0.0.1" || j.Actions[0].Action != fsq.ActionSet {
		t.Errorf("%+v %v", j.Actions, err)
	}
}

// A job that runs is asked to end; a file that never became one can be removed.
func TestActionsOnOthers(t *testing.T) {
	r := newRig(t)
	id := r.put(`{"command":"true"}`)
	lease := r.q.Lease(nil)
	defer lease.Close()
	claim, err := lease.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w := r.do("POST", "/api/v1/jobs/"+id+"/signal", `{"signal":"USR1"}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"result":"signalled"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := r.do("POST", "/api/v1/jobs/"+id+"/cancel", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"result":"asked"`) && !strings.Contains(w.Body.String(), `"result":"cancelled"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	<-claim.Context().Done()
	w := r.do("POST", "/api/v1/workers/stop", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"result":"asked"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := r.do("POST", "/api/v1/workers/nobody/stop", `{"drain":false}`); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Bulk is for ids, for a filter, or for all; and says of each what came of it.
func TestBulk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action, body string
		status       int
		want         string // of the answer
	}{
		{"hold", `{"ids":[{"id":"pending"},{"queue":"mail","id":"mail-pending"}]}`, 200, `"done":2,"failed":0,"results":[{"queue":"default","id":"pending","result":"held","error":null},{"queue":"mail",`},
		{"hold", `{"ids":[{"id":"pending"},{"id":"nosuch"},{"id":"dead"}]}`, 207, `"done":1,"failed":2,"results":[{"queue":"","id":"nosuch","result":"failed","error":"`},
		{"hold", `{"ids":[]}`, 200, `"done":0,"failed":0,"results":[]`},
		{"hold", `{"ids":[{"queue":"none","id":"x"}]}`, 207, `queue \"none\": not found`},
		{"retry", `{"filter":{"state":"dead"}}`, 200, `"done":1`},
		{"retry", `{"filter":{"state":["dead","cancelled"]}}`, 200, `"done":2`},
		{"retry", `{"filter":{"state":"failed"}}`, 200, `"done":1`}, // those that retry by themselves are not for it
		{"retry", `{"filter":{"state":"pending"}}`, 200, `"done":0`},
		{"retry", `{"filter":{"tag":["x"]}}`, 200, `"id":"dead"`},
		{"retry", `{"filter":{"exit_code":3}}`, 200, `"id":"dead"`},
		{"retry", `{"filter":{"exit_code":4}}`, 200, `"done":0`},
		{"retry", `{"filter":{"exit_code":"4,3"}}`, 200, `"done":1`},
		{"retry", `{"filter":{"exit_code":[3,4]}}`, 200, `"done":1`},
		{"hold", `{"ids":[{"id":"pending"},{"queue":"mail","id":"mail-pending"},{"id":"nosuch"},{"queue":"none","id":"x"},{"queue":"mail","id":"pending"}],"dry_run":true}`, 200, `"matched":2,"exact":true`},
		{"hold", `{"filter":{"queue":"mail"}}`, 200, `"done":1,"failed":0,"results":[{"queue":"mail","id":"mail-pending"`},
		{"hold", `{"filter":{"queue":"none"}}`, 404, `not found`},
		{"hold", `{"filter":{"priority":"5.."}}`, 200, `"id":"pending"`},
		{"hold", `{"filter":{"priority":"..4","state":"pending"}}`, 200, `"done":1,"failed":0,"results":[{"queue":"mail"`},
		{"hold", `{"filter":{"limit":1,"state":"waiting"}}`, 200, `"done":4`}, // a page's limit is not an action's
		{"cancel", `{"all":true}`, 200, `"done":5`},
		{"cancel", `{"all":true,"expect":5}`, 200, `"done":5`},
		{"cancel", `{"all":true,"expect":9}`, 200, `"done":5`},
		{"cancel", `{"all":true,"expect":4}`, 409, `5 jobs match by now, and 4 were expected: nothing was done`},
		{"cancel", `{"ids":[{"id":"pending"}],"expect":0}`, 409, `nothing was done`},
		{"cancel", `{"all":true,"dry_run":true}`, 200, `"matched":5`},
		{"cancel", `{"filter":{}}`, 400, `the filter is empty`},
		{"cancel", `{"filter":{"sort":"due"}}`, 400, `the filter is empty`},
		{"cancel", `{}`, 400, `say which jobs`},
		{"cancel", ``, 400, `say which jobs`},
		{"cancel", `{"ids":[],"filter":{"state":"dead"}}`, 400, `not both`},
		{"cancel", `{"filter":{"stat":"dead"}}`, 400, `did you mean \"state\"?`},
		{"cancel", `{"filter":{"state":"ded"}}`, 400, `no such state`},
		{"cancel", `{"filter":{"state":{"a":1}}}`, 400, `must be a text or a number`},
		{"cancel", `{"filter":{"since":"yesterday"}}`, 400, `since must be a time`},
		{"cancel", `{"filter":{"priority":"high"}}`, 400, `priority must be`},
		{"cancel", `{"filter":{"command":"[*"}}`, 400, `must be a glob`},
		{"cancel", `[]`, 400, `must be one JSON object`},
		{"set", `{"filter":{"state":"pending"},"priority":7}`, 200, `"done":2`},
		{"nothing", `{"all":true}`, 404, `there is no action`},
	} {
		t.Run(c.action+" "+c.body, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.mixed()
			w := r.do("POST", "/api/v1/jobs/"+c.action, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s, want %d and %s", w.Code, w.Body, c.status, c.want)
			}
			if w.Code >= 400 && r.state("pending") != fsq.Pending {
				t.Error("something was done")
			}
		})
	}
}

// Of many results some are told: what failed first.
func TestBulkTellsSome(t *testing.T) {
	r := newRig(t)
	docs := make([]fsq.Job, maxResults+5)
	for i := range docs {
		docs[i] = fsq.Job{Command: fsq.Command{Shell: "true"}}
	}
	r.q.EnqueueBatch(t.Context(), docs)
	ids := []string{`{"queue":"default","id":"nosuch"}`}
	jobs, _, err := r.q.List(t.Context(), fsq.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		ids = append(ids, fmt.Sprintf(`{"queue":"default","id":%q}`, j.ID))
	}
	w := r.do("POST", "/api/v1/jobs/hold", `{"ids":[`+strings.Join(ids, ",")+`]}`)
	var res results
	if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	if res.Done != maxResults+5 || res.Failed != 1 || len(res.Results) != maxResults || !res.Cut || res.Results[0].ID != "nosuch" {
		t.Errorf("%d %d %d %v", res.Done, res.Failed, len(res.Results), res.Cut)
	}
}

// What a request may send is limited in its length and its kind.
func TestBodies(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		body, kind string
		status     int
	}{
		{`{"all":true}` + strings.Repeat(" ", maxBody), "application/json", 413},
		{`{"ids":[` + strings.Repeat(`{"id":"x"},`, maxBody/8) + `]}`, "application/json", 413},
		{`{"all":true}`, "text/plain", 400},
		{`{"all":true}`, "multipart/form-data; boundary=x", 400},
		{`{"all":true}`, "application/json; charset=utf-8", 200},
	} {
		if w := r.do("POST", "/api/v1/jobs/hold", c.body, "Content-Type", c.kind); w.Code != c.status {
			t.Errorf("%s %.20q: %d %s", c.kind, c.body, w.Code, w.Body)
		}
	}
}

// A plain form gets its page back, with a message that is shown once.
func TestForms(t *testing.T) {
	r := newRig(t)
	r.mixed()
	for _, c := range []struct {
		path, body string
		back, want string
		failed     bool
	}{
		{"/api/v1/jobs/hold", "job=default/pending&job=mail/mail-pending&back=/jobs?state=pending", "/jobs?state=pending", "2 jobs held", false},
		{"/api/v1/jobs/pending/release", "", "/jobs/pending", "1 job released", false},
		{"/api/v1/jobs/release", "job=default/nosuch&job=mail/mail-pending", "/jobs/pending", `1 job released, 1 failed: job "nosuch": not found`, true},
		{"/api/v1/jobs/retry", "filter=" + url.QueryEscape("state=dead&sort=-ended&limit=20") + "&expect=1&back=https://evil.example/", "/", "1 job retried", false},
		{"/api/v1/jobs/retry", "filter=" + url.QueryEscape("stat=dead"), "/jobs/pending", `There is no "stat"; did you mean "state"?`, true},
		{"/api/v1/jobs/retry", "filter=&back=/dead", "/dead", "The filter is empty: all says that all jobs are meant", true},
		{"/api/v1/jobs/retry", `{"filter":{}}`, "/jobs/pending", "The form has a field \"{\\\"filter\\\":{}}\" that means nothing here; JSON needs Content-Type: application/json", true},
		{"/api/v1/jobs/nosuch/cancel", "", "/jobs/pending", `Job "nosuch": not found`, true},
		{"/api/v1/jobs/pending/set", "priority=12&run_at=", "/jobs/pending", "1 job changed", false},
		{"/api/v1/queues/mail/pause", "reason=<b>why</b>&until=%2B1h", "/jobs/pending", "Queue mail is paused", false},
		{"/api/v1/queues/mail/pause", "until=2001-01-01", "/jobs/pending", `Until must be a time to come, not "2001-01-01"`, true},
		{"/api/v1/queues/mail/resume", "", "/jobs/pending", "Queue mail takes jobs again", false},
		{"/api/v1/queues/none/resume", "", "/jobs/pending", `Queue "none": not found`, true},
		{"/api/v1/queues/mail/limit", "limit=3", "/jobs/pending", "Queue mail runs at most 3 jobs at the same time", false},
		{"/api/v1/queues/mail/limit", "limit=0", "/jobs/pending", `The limit must be a whole number from 1 to 1000000, or nothing, not "0"`, true},
		{"/api/v1/queues/mail/limit", "limit=", "/jobs/pending", "Queue mail runs as many jobs at the same time as there are slots", false},
		{"/api/v1/queues/none/limit", "limit=1", "/jobs/pending", `Queue "none": not found`, true},
		{"/api/v1/queues/mail/config", "max-retries=7&timeout=", "/jobs/pending", "The settings of queue mail were changed; workers have them once they are started again", false},
		{"/api/v1/queues/mail/config", "max-retries=many", "/jobs/pending", `Setting "max-retries": must be a whole number from 0 to 100000, not "many"`, true},
		{"/api/v1/workers/stop", "drain=true", "/jobs/pending", "0 workers asked to stop", false},
	} {
		w := r.do("POST", c.path, c.body, append(form(), "Referer", "http://localhost:3000/jobs/pending")...)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != c.back {
			t.Errorf("%s %s: %d, to %s", c.path, c.body, w.Code, w.Header().Get("Location"))
			continue
		}
		cookie := w.Result().Cookies()[0]
		show := r.request("GET", "/", "", "Cookie", cookie.Name+"="+cookie.Value)
		shown := httptest.NewRecorder()
		f := r.d.takeFlash(shown, show)
		if f == nil || f.Text != c.want || f.Failed != c.failed {
			t.Errorf("%s %s: %+v, want %s", c.path, c.body, f, c.want)
		}
		if gone := shown.Result().Cookies(); len(gone) != 1 || gone[0].MaxAge >= 0 {
			t.Errorf("it is shown again: %+v", gone)
		}
	}
	if w := r.do("POST", "/api/v1/jobs/pending/hold", "", append(form(), "Referer", "http://evil.example/x")...); w.Header().Get("Location") != "/" {
		t.Error(w.Header().Get("Location"))
	}
	if q := r.queue("mail"); func() int { m, _ := q.Settings(); return len(m["max-retries"]) }() != 1 {
		t.Error("the setting was not changed")
	}
}

// Settings are checked before any is changed, and those that decide as whom jobs run stay.
func TestConfig(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"max-retries":7,"timeout":"5m","backoff-jitter":0.5}`, 200, `{"key":"max-retries","value":"7","origin":"spool"`},
		{`{"max-retries":null}`, 200, `{"key":"max-retries","value":"3","origin":"default"`},
		{`{"max-retries":4,"timeout":"soon"}`, 400, `must be a duration`},
		{`{"max-retries":[1,2]}`, 400, `max-retries must be a text, a number, true or false`},
		{`{"nosuch":1}`, 400, `nosuch`},
		{`{"trust-group":true}`, 403, `not set over the web`},
		{`{"run-as-owner":"true"}`, 403, `not set over the web`},
		{`{}`, 400, `say which setting`},
	} {
		w := r.do("POST", "/api/v1/queues/default/config", c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.body, w.Code, w.Body)
		}
	}
	have, err := r.q.Settings()
	if err != nil || have["max-retries"] != "" || have["timeout"] != "5m" || have["trust-group"] != "" {
		t.Errorf("%v %v", have, err)
	}
}

// The limit is a number or nothing; what is neither changes nothing.
func TestLimitOfAQueue(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		body   string
		status int
		answer string
		limit  int
	}{
		{`{"limit":3}`, 200, `"limit":3}`, 3},
		{`{"limit":"4"}`, 200, `"limit":4}`, 4},
		{`{"limit":0}`, 400, "from 1 to 1000000", 4},
		{`{"limit":1.5}`, 400, "from 1 to 1000000", 4},
		{`{"limit":true}`, 400, "from 1 to 1000000", 4},
		{`{"limits":1}`, 400, "say the limit", 4},
		{`{}`, 400, "say the limit", 4},
		{`{"limit":null}`, 200, `"limit":null}`, 0},
	} {
		w := r.do("POST", "/api/v1/queues/default/limit", c.body)
		n, err := r.q.Limit()
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || n != c.limit || err != nil {
			t.Errorf("%s: %d %s; the limit is %d, %v", c.body, w.Code, w.Body, n, err)
		}
	}
}

// Jobs are taken over the web only where that was allowed.
func TestEnqueue(t *testing.T) {
	r := newRig(t)
	if w := r.do("POST", "/api/v1/jobs", `{"command":"true"}`); w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if jobs, _, err := r.q.List(t.Context(), fsq.ListOptions{}); err != nil || len(jobs) != 0 {
		t.Errorf("%v %v", jobs, err)
	}
	r = newRig(t, func(o *Options) { o.AllowEnqueue = true })
	r.queue("mail")
	for _, c := range []struct {
		query, body, kind string
		status            int
		want              string
	}{
		{"", `{"id":"a","command":"echo hi","priority":3}`, "application/json", 201, `"id":"a","queue":"default","state":"pending"`},
		{"", `{"id":"a","command":"true"}`, "application/json", 409, `a`},
		{"?queue=mail", `{"id":"a","command":["true"]}`, "application/json", 201, `"queue":"mail"`},
		{"?queue=new", `{"id":"a","command":"true","max_retry":1}`, "application/json", 201, `"warnings":["unknown field \"max_retry\" kept as it is; did you mean \"max_retries\"?"]`},
		{"?queue=NO%20queue", `{"command":"true"}`, "application/json", 400, `queue`},
		{"?hold=true", `{"command":"true"}`, "application/json", 400, `there is no parameter`},
		{"", `{"command":3}`, "application/json", 400, `must be a string`},
		{"", `command=true`, "application/x-www-form-urlencoded", 400, `send the job as JSON`},
	} {
		w := r.do("POST", "/api/v1/jobs"+c.query, c.body, "Content-Type", c.kind)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.query, c.body, w.Code, w.Body)
		}
		if w.Code == 201 && !strings.HasPrefix(w.Header().Get("Location"), "/api/v1/jobs/a?queue=") {
			t.Error(w.Header())
		}
	}
	r = newRig(t, func(o *Options) { o.AllowEnqueue, o.ReadOnly = true, true })
	if w := r.do("POST", "/api/v1/jobs", `{"command":"true"}`); w.Code != http.StatusForbidden {
		t.Errorf("read-only: %d", w.Code)
	}
}

// A dashboard of some queues shows and changes no other.
func TestOnlySomeQueues(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Queues = []string{"mail"}; o.AllowEnqueue = true })
	r.mixed()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/v1/jobs/mail-pending", "", 200},
		{"GET", "/api/v1/jobs/pending", "", 404},
		{"GET", "/api/v1/jobs/pending?queue=default", "", 404},
		{"GET", "/api/v1/jobs/dead/logs/stdout?queue=default", "", 404},
		{"GET", "/api/v1/queues/default", "", 404},
		{"GET", "/api/v1/queues/default/config", "", 404},
		{"GET", "/api/v1/jobs?queue=default", "", 404},
		{"POST", "/api/v1/jobs/pending/cancel?queue=default", "", 404},
		{"POST", "/api/v1/jobs/cancel", `{"ids":[{"queue":"default","id":"pending"}]}`, 207},
		{"POST", "/api/v1/queues/default/pause", `{}`, 404},
		{"POST", "/api/v1/queues/default/config", `{"lease":"1m"}`, 404},
		{"POST", "/api/v1/workers/stop", `{"queue":"default"}`, 404},
		{"POST", "/api/v1/jobs?queue=default", `{"command":"true"}`, 404},
		{"POST", "/api/v1/jobs/cancel", `{"all":true}`, 200},
	} {
		if w := r.do(c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	if r.state("pending") != fsq.Pending {
		t.Error("a job of another queue was changed")
	}
	if s := r.d.snapshot(t.Context()); len(s.Queues) != 1 || s.Status.Cancelled != 1 {
		await(t, "the cancelled job is seen", func() bool { return r.d.snapshot(t.Context()).Status.Cancelled == 1 })
	}
}

// The same id in two queues is no job before somebody says which.
func TestAmbiguousID(t *testing.T) {
	r := newRig(t)
	mail := r.queue("mail")
	r.put(`{"id":"a","command":"true"}`)
	r.putIn(mail, `{"id":"a","command":"true"}`)
	for path, want := range map[string]int{"/api/v1/jobs/a": 409, "/api/v1/jobs/a?queue=mail": 200, "/api/v1/jobs/a?queue=default": 200} {
		if w := r.get(path); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := r.do("POST", "/api/v1/jobs/a/cancel", ""); w.Code != 409 || !strings.Contains(w.Body.String(), "in the queues default and mail") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := r.do("POST", "/api/v1/jobs/a/cancel?queue=mail", ""); w.Code != 200 || r.state("a") != fsq.Pending {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A filter in the address is the same after it was read and written.
func TestFilterInAddress(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "",
		"state=failed&state=&tag=":           "state=failed",
		"state=dead&state=done":              "state=dead%2Cdone",
		"tag=a&tag=b%26c&queue=mail":         "queue=mail&tag=a&tag=b%26c",
		"priority=1..5&host=h&worker=w":      "host=h&priority=1..5&worker=w",
		"exit_code=0&command=%3Cscript%3E":   "command=%3Cscript%3E&exit_code=0",
		"since=1h&until=2030-01-01T00:00Z":   "since=1h&until=2030-01-01T00%3A00Z",
		"sort=-ended&limit=100":              "sort=-ended",
		"limit=500&after=x&unknown=1&group=": "after=x&limit=500",
	} {
		v, err := url.ParseQuery(in)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFilter(v)
		if err != nil || f.values().Encode() != want {
			t.Errorf("%s: %v %s, want %s", in, err, f.values().Encode(), want)
		}
		again, err := parseFilter(f.values())
		if err != nil || again.values().Encode() != want {
			t.Errorf("%s: %v %s", in, err, again.values().Encode())
		}
	}
	for in, want := range map[string]string{
		"state=nosuch": "no such state", "priority=x": "priority must be", "priority=1...": "priority must be", "exit_code=x": "exit_code must be", "exit_code=3,,4": "exit_code must be",
		"limit=0": "limit must be", "limit=501": "limit must be", "sort=size": "must be turn, due", "since=x": "since must be", "until=x": "until must be", "command=[*": "must be a glob",
	} {
		v, err := url.ParseQuery(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseFilter(v); err == nil || !strings.Contains(err.Error(), want) || statusOfError(err) != 400 {
			t.Errorf("%s: %v", in, err)
		}
	}
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	sel, err := filter{Command: "a*b", Since: "1h", Priority: "..-3"}.selector(now)
	if err != nil || sel.Command != "a*b" || sel.Contains != "" || !sel.Since.Equal(now.Add(-time.Hour)) || sel.MinPriority != nil || *sel.MaxPriority != -3 {
		t.Errorf("%+v %v", sel, err)
	}
}

// What is in files that never became jobs can be tried again, and removed.
func TestRejected(t *testing.T) {
	r := newRig(t)
	if err := writeDrop(filepath.Join(r.dir, "pending"), "bad.json", "no job"); err != nil {
		t.Fatal(err)
	}
	var rejected []any
	await(t, "the file is set aside", func() bool {
		r.work()
		rejected = object(t, r.get("/api/v1/dead"))["rejected"].([]any)
		return len(rejected) == 1
	})
	name := rejected[0].(map[string]any)["name"].(string)
	if w := r.do("POST", "/api/v1/jobs/"+url.PathEscape(name)+"/delete?queue=default", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := r.get("/api/v1/dead"); !strings.Contains(w.Body.String(), `"rejected":[]`) {
		t.Errorf("%s", w.Body)
	}
}

// An id that several queues have leads to the job of each.
func TestAmbiguousJob(t *testing.T) {
	r := newRig(t)
	r.put(`{"id":"a b","command":"true"}`)
	r.putIn(r.queue("mail"), `{"id":"a b","command":"false"}`)
	page := []string{"Accept", "text/html"}
	w := r.get("/jobs/a%20b", page...)
	if w.Code != http.StatusConflict {
		t.Errorf("%d", w.Code)
	}
	list := r.get("/jobs", page...).Body.String()
	for _, queue := range []string{fsq.DefaultQueue, "mail"} {
		path := jobPath(queue, "a b")
		if !strings.Contains(w.Body.String(), `href="`+path+`"`) || !strings.Contains(list, `href="`+path+`"`) {
			t.Errorf("%s is linked from neither: %s", path, w.Body)
		}
		if w := r.get(path, page...); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// Nothing more is done when who has asked for it has gone.
func TestActionEndsWithItsClient(t *testing.T) {
	r := newRig(t)
	r.mixed()
	ctx, gone := context.WithCancel(t.Context())
	gone()
	var done tally
	r.d.actOn(ctx, fsq.Act{Action: fsq.ActionHold}, []jobID{{"", "pending"}, {fsq.DefaultQueue, "scheduled"}}, &done)
	if res := done.results(); res.Done != 0 || res.Failed != 2 || r.state("pending") != fsq.Pending {
		t.Errorf("%+v", res)
	}
}

// An action may take longer than a request may: it is done, and answered.
func TestLongAction(t *testing.T) {
	var wait chan struct{}
	r := newRig(t, func(o *Options) {
		dir := o.Dir
		o.Open = func(name string) (*fsq.Queue, error) {
			if wait != nil {
				<-wait
			}
			return openQueue(dir, name)
		}
	})
	r.mixed()
	const limit = 50 * time.Millisecond
	gone := make(chan struct{}, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		go func() { // it opens the queue when the times are over, or the server takes the client for gone
			select {
			case <-time.After(4 * limit):
			case <-req.Context().Done():
				gone <- struct{}{}
			}
			close(wait)
		}()
		r.d.ServeHTTP(w, req)
	}))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = limit, 2*limit
	wait = make(chan struct{})
	srv.Start()
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/v1/jobs/hold", strings.NewReader(`{"filter":{"state":"pending"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(text), `"done":2`) || len(gone) > 0 {
		t.Errorf("%d %s %v %d", res.StatusCode, text, err, len(gone))
	}
}

// What is under way ends with the dashboard, and says how far it has come.
func TestLongActionEndsWithTheDashboard(t *testing.T) {
	r := newRig(t)
	r.mixed()
	r.d.endStreams()
	w := r.do("POST", "/api/v1/jobs/hold", `{"ids":[{"id":"pending"},{"id":"scheduled"}]}`)
	if w.Code == http.StatusOK || !strings.Contains(w.Body.String(), "the dashboard is closed") || r.state("scheduled") != fsq.Scheduled {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A file that never became a job is acted on by its name, in whatever queue it is.
func TestRejectedByName(t *testing.T) {
	r := newRig(t)
	mail := r.queue("mail")
	for _, action := range []string{fsq.ActionRetry, fsq.ActionDelete} {
		if err := writeDrop(filepath.Join(mail.Dir(), "pending"), action+".json", "no job"); err != nil {
			t.Fatal(err)
		}
		var name string
		await(t, "the file is set aside", func() bool {
			if err := mail.NewWorker(fsq.WorkerOptions{Slots: 1, Drain: true}).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, err := mail.Rejects()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				if r.Dropped == action+".json" {
					name = r.Name
				}
			}
			return name != ""
		})
		if w := r.do("POST", "/api/v1/jobs/"+url.PathEscape(name)+"/hold", ""); w.Code != http.StatusNotFound {
			t.Errorf("hold: %d %s", w.Code, w.Body)
		}
		w := r.do("POST", "/api/v1/jobs/"+url.PathEscape(name)+"/"+action, "")
		all, err := mail.Rejects()
		if w.Code != http.StatusOK || err != nil || slices.ContainsFunc(all, func(r fsq.Rejected) bool { return r.Name == name }) {
			t.Errorf("%s: %d %s, %v %v", action, w.Code, w.Body, all, err)
		}
	}
}

// Who may change nothing is not sent what may be a secret, and the spool is left as it is.
func TestReadOnlySendsNoEnvironment(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ReadOnly = true })
	r.put(`{"id":"a","command":"false","max_retries":0,"env":{"PASSWORD":"hunter2"}}`)
	r.work()
	for _, path := range []string{"/jobs/a", "/api/v1/jobs/a", "/api/v1/jobs", "/api/v1/dead", "/dead", "/"} {
		w := r.get(path, "Accept", "text/html")
		if text := w.Body.String(); w.Code != 200 || strings.Contains(text, "hunter2") || strings.HasSuffix(path, "/jobs/a") && !strings.Contains(text, "PASSWORD") {
			t.Errorf("%s: %d %s", path, w.Code, text)
		}
	}
}
