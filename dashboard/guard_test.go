package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secret = "0123456789abcdef-secret"

func withToken(o *Options) { o.Tokens = []Token{{"alice", secret}, {"", "another-token-of-nobody"}} }

// Who may ask what, from where: whatever is not in the table of the guard is refused.
func TestGuard(t *testing.T) {
	open := newRig(t, func(o *Options) { o.AllowHosts = []string{"Queue.example.org"} })
	closed := newRig(t, withToken)
	readOnly := newRig(t, func(o *Options) { o.ReadOnly = true })
	any := newRig(t, func(o *Options) { o.AllowHosts = []string{"*"} })
	bearer := []string{"Authorization", "Bearer " + secret}
	const stop = "/api/v1/workers/stop"
	for _, c := range []struct {
		name   string
		r      *rig
		method string
		path   string
		header []string
		want   int
	}{
		{"localhost", open, "GET", "/", nil, 200},
		{"an address of this machine", open, "GET", "/", []string{"Host", "127.0.0.2:99"}, 200},
		{"the same of IPv6", open, "GET", "/", []string{"Host", "[::1]:3000"}, 200},
		{"a name that is allowed", open, "GET", "/", []string{"Host", "queue.EXAMPLE.org"}, 200},
		{"the same with a port", open, "GET", "/", []string{"Host", "queue.example.org:8443"}, 200},
		{"another name", open, "GET", "/", []string{"Host", "evil.example"}, 421},
		{"a name that ends like an allowed one", open, "GET", "/", []string{"Host", "evil.queue.example.org"}, 421},
		{"a name that begins like localhost", open, "GET", "/", []string{"Host", "localhost.evil.example"}, 421},
		{"an address of another machine", open, "GET", "/", []string{"Host", "192.0.2.1"}, 421},
		{"a call by another name", open, "POST", stop, []string{"Host", "evil.example"}, 421},
		{"a file by another name", open, "GET", "/static/style.css", []string{"Host", "evil.example"}, 421},
		{"any name, where that is asked for", any, "GET", "/", []string{"Host", "whatever.example"}, 200},

		{"a change by a program", open, "POST", stop, nil, 200},
		{"a change by this page", open, "POST", stop, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:3000"}, 200},
		{"a change by another page", open, "POST", stop, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a change by a page of the same site", open, "POST", stop, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a change by another page in an old browser", open, "POST", stop, []string{"Origin", "http://evil.example"}, 403},
		{"a change by a file in an old browser", open, "POST", stop, []string{"Origin", "null"}, 403},
		{"a change with a token by another page", closed, "POST", stop, append([]string{"Sec-Fetch-Site", "cross-site"}, bearer...), 403},

		{"no token", closed, "GET", "/api/v1/status", nil, 401},
		{"no token for a page", closed, "GET", "/jobs", []string{"Accept", "text/html"}, 401},
		{"no token for events", closed, "GET", "/events", nil, 401},
		{"no token for figures", closed, "GET", "/metrics", nil, 401},
		{"no token for a change", closed, "POST", stop, nil, 401},
		{"no token for what is not there", closed, "GET", "/nothing", nil, 401},
		{"a wrong token", closed, "GET", "/api/v1/status", []string{"Authorization", "Bearer " + secret + "x"}, 401},
		{"an empty token", closed, "GET", "/api/v1/status", []string{"Authorization", "Bearer "}, 401},
		{"a token of another kind", closed, "GET", "/api/v1/status", []string{"Authorization", "Basic " + secret}, 401},
		{"the token as a cookie", closed, "GET", "/api/v1/status", []string{"Cookie", closed.d.cookie + "=" + secret}, 401},
		{"a token in the address of a change", closed, "POST", stop + "?token=" + secret, nil, 401},
		{"the token", closed, "GET", "/api/v1/status", bearer, 200},
		{"another token", closed, "GET", "/api/v1/status", []string{"Authorization", "bearer another-token-of-nobody"}, 200},
		{"a change with the token", closed, "POST", stop, bearer, 200},
		{"health without a token", closed, "GET", "/healthz", nil, 200},
		{"readiness without a token", closed, "GET", "/readyz", nil, 503},
		{"a file without a token", closed, "GET", "/static/style.css", nil, 200},

		{"a figure that another page loads", open, "GET", "/metrics", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"a page that another page loads", open, "GET", "/jobs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403},
		{"a link of another page", open, "GET", "/jobs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		{"what this page loads", open, "GET", "/jobs", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, 200},
		{"a token in the address of a page", closed, "GET", "/jobs?token=" + secret, []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 303},
		{"a token in the address of what a page loads", closed, "GET", "/jobs?token=" + secret, []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, 401},
		{"a token in the address of a call", closed, "GET", "/api/v1/status?token=" + secret, nil, 401},
		{"a token in the address of figures", closed, "GET", "/metrics?token=" + secret, nil, 401},

		{"looking where nothing may be changed", readOnly, "GET", "/api/v1/jobs", nil, 200},
		{"a change where nothing may be changed", readOnly, "POST", stop, nil, 403},
		{"a job where nothing may be changed", readOnly, "POST", "/api/v1/jobs", nil, 403},
		{"another method where nothing may be changed", readOnly, "DELETE", "/api/v1/jobs/x", nil, 403},

		{"a directory", open, "GET", "/static/", nil, 404},
		{"a way out of it", open, "GET", "/static/..%2fpage.go", nil, 404},
		{"nothing", open, "GET", "/nothing", nil, 404},
		{"another method of an action", open, "PUT", "/api/v1/jobs/x/retry", nil, 405},
		{"looking at an action", open, "GET", "/api/v1/workers/stop", nil, 405},
		{"a change of a page", open, "POST", "/jobs", nil, 405},
		{"another method of nothing", open, "PUT", "/nothing", nil, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.r.do(c.method, c.path, "", c.header...)
			if w.Code != c.want {
				t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, c.want, w.Body)
			}
			h := w.Header()
			for key, want := range map[string]string{
				"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
			} {
				if h.Get(key) != want {
					t.Errorf("%s is %q", key, h.Get(key))
				}
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("the token is in the answer: %s", w.Body)
			}
		})
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Error(policy)
	}
}

// Who was not let in sees nothing of the spool, whatever page refuses him; and a token in an
// address leads to this dashboard alone.
func TestStrangersSeeNoPage(t *testing.T) {
	r := newRig(t, withToken)
	r.put(`{"id":"a","command":"false","max_retries":0}`)
	r.work()
	for _, c := range []struct {
		method, path string
		header       []string
		want         int
	}{
		{"GET", "/", []string{"Host", "evil.example"}, 421},
		{"GET", "/?token=" + secret, []string{"Host", "evil.example"}, 421},
		{"GET", "/jobs/a", nil, 401},
		{"GET", "/nothing", nil, 401},
		{"POST", "/api/v1/jobs/a/retry", nil, 401},
		{"POST", "/nothing", nil, 401},
		{"POST", "/api/v1/jobs/a/retry", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		w := r.do(c.method, c.path, "", append([]string{"Accept", "text/html"}, c.header...)...)
		if text := w.Body.String(); w.Code != c.want || strings.Contains(text, r.dir) || strings.Contains(text, "<nav") || strings.Contains(text, "dead") {
			t.Errorf("%s %s %v: %d %s", c.method, c.path, c.header, w.Code, text)
		}
	}
	for _, path := range []string{"//evil.example/x", "///evil.example/x", `/\evil.example/x`, "/%5cevil.example", "/%2f%2fevil.example"} {
		w := r.get(path + "?token=" + secret)
		to, err := url.Parse(w.Header().Get("Location"))
		if err != nil || w.Code == 303 && (to.Host != "" || to.IsAbs() || strings.HasPrefix(to.String(), "//") || strings.Contains(to.String(), `\`)) {
			t.Errorf("%s leads to %d %q", path, w.Code, w.Header().Get("Location"))
		}
	}
}

// Without a token it is not told what is wrong with the spool.
func TestReadyTellsNoStranger(t *testing.T) {
	r := newRig(t, withToken)
	if w := r.get("/readyz"); strings.Contains(w.Body.String(), "worker") {
		t.Errorf("%s", w.Body)
	}
	if w := r.get("/readyz", "Authorization", "Bearer "+secret); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "queue default: no worker is alive") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Under a base path it answers to that alone, and its cookies are for it alone.
func TestBasePath(t *testing.T) {
	r := newRig(t, withToken, func(o *Options) { o.BasePath = "/queue/" })
	bearer := []string{"Authorization", "Bearer " + secret}
	for path, want := range map[string]int{
		"/queue/": 200, "/queue/jobs": 200, "/queue/api/v1/status": 200, "/queue/static/app.js": 200, "/queue": 301,
		"/": 404, "/jobs": 404, "/queuejobs": 404, "/api/v1/status": 404,
	} {
		if w := r.get(path, bearer...); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w := r.get("/queue/jobs?state=dead&token=" + secret)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/queue/jobs?state=dead" || !strings.Contains(w.Header().Get("Set-Cookie"), "Path=/queue/;") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, base := range []string{"queue", "/a//b", "//", "//evil.example", "/../x", "/x/..", "/./x", "/a b", "/{x}", "/q?x", "/q#x", "/<b>", "/%2e", "/ü", `/\x`} {
		if _, err := New(Options{Dir: r.dir, BasePath: base}); err == nil {
			t.Errorf("the base path %q was taken", base)
		}
	}
	for _, base := range []string{"", "/", "/queue", "/tools/queue/", "/~me/q.1_2-3"} {
		d, err := New(Options{Dir: r.dir, BasePath: base})
		if err != nil {
			t.Errorf("%q: %v", base, err)
			continue
		}
		d.Close()
	}
	for _, host := range []string{"http://x/", "http://x", "x/", "", ":80", "a b", "x,y"} {
		if _, err := New(Options{Dir: r.dir, AllowHosts: []string{host}}); err == nil {
			t.Errorf("the host %q was taken", host)
		}
	}
	if _, err := New(Options{Dir: r.dir, Tokens: []Token{{Secret: "short"}}}); err == nil {
		t.Error("a short token was taken")
	}
}

// The form, and the address with a token, begin a session: a cookie that is not the token,
// that ends, and that another token ends.
func TestSession(t *testing.T) {
	r := newRig(t, withToken)
	page := []string{"Accept", "text/html"}
	if w := r.get("/jobs?state=dead", page...); w.Code != 401 || !strings.Contains(w.Body.String(), `name="token"`) && !strings.Contains(w.Body.String(), "name=token") {
		t.Errorf("no form: %d %s", w.Code, w.Body)
	}
	if w := r.do("POST", "/login", "token=wrong&next=/jobs", form()...); w.Code != 401 || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a wrong token: %d %v", w.Code, w.Header())
	}
	if w := r.get("/jobs?token=wrong", page...); w.Code != 401 || w.Header().Get("Set-Cookie") != "" || strings.Contains(w.Body.String(), "token=wrong") {
		t.Errorf("a wrong token in the address: %d %v %s", w.Code, w.Header(), w.Body)
	}
	w := r.do("POST", "/login", "token="+secret+"&next=%2Fjobs%3Fstate%3Ddead", form()...)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/jobs?state=dead" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || strings.Contains(cookies[0].Value, secret) || cookies[0].Secure {
		t.Fatalf("%+v", cookies)
	}
	cookie := []string{"Cookie", cookies[0].Name + "=" + cookies[0].Value}
	if w := r.get("/jobs", cookie...); w.Code != 200 {
		t.Errorf("the session: %d", w.Code)
	}
	if w := r.do("POST", "/api/v1/queues/default/pause", `{}`, cookie...); w.Code != 200 || !strings.Contains(w.Body.String(), `"by":"dashboard alice"`) {
		t.Errorf("who acts: %d %s", w.Code, w.Body)
	}
	if w := r.do("POST", "/login", "token="+secret, append(form(), "X-Forwarded-Proto", "https")...); !w.Result().Cookies()[0].Secure {
		t.Error("behind TLS the cookie is not for TLS alone")
	}
	// Any bit of it counts.
	for i := range cookies[0].Value {
		forged := []byte(cookies[0].Value)
		forged[i] ^= 0x01
		if w := r.get("/jobs", "Cookie", cookies[0].Name+"="+string(forged)); w.Code == 200 {
			t.Errorf("a session with another byte %d was taken", i)
		}
	}
	other := newRig(t, func(o *Options) { o.Tokens = []Token{{"alice", secret + "2"}} })
	if w := other.get("/jobs", "Cookie", other.d.cookie+"="+cookies[0].Value); w.Code != 401 {
		t.Errorf("another token: %d", w.Code)
	}
	// Logging out ends this session, whoever has the cookie, and no other.
	second := r.do("POST", "/login", "token="+secret, form()...).Result().Cookies()[0]
	if body := r.get("/jobs", cookie...).Body.String(); !strings.Contains(body, "/logout") {
		t.Error("there is no way to log out")
	}
	if w := r.do("POST", "/logout", "", cookie...); w.Code != http.StatusSeeOther || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("logging out: %d %v", w.Code, w.Header())
	}
	if w := r.get("/jobs", cookie...); w.Code != 401 {
		t.Errorf("a session that was ended: %d", w.Code)
	}
	if w := r.do("POST", "/logout", "", cookie...); w.Code != http.StatusSeeOther {
		t.Errorf("logging out of a session that is over: %d", w.Code)
	}
	cookie = []string{"Cookie", second.Name + "=" + second.Value}
	if w := r.get("/jobs", cookie...); w.Code != 200 {
		t.Errorf("another session: %d", w.Code)
	}
	r.d.now = func() time.Time { return time.Now().Add(sessionLasts + time.Hour) }
	if w := r.get("/jobs", cookie...); w.Code != 401 {
		t.Errorf("a session that is over: %d", w.Code)
	}
}

// What is remembered of ended sessions is bounded: those that are over go first, then those
// that will be soonest.
func TestRevocationsAreBounded(t *testing.T) {
	var r revocations
	now := time.Unix(1e9, 0)
	at := func(i int) session {
		return session{until: now.Add(time.Duration(i) * time.Second), sum: [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}}
	}
	for i := range maxRevoked {
		r.add(at(i+1), now)
	}
	r.add(at(maxRevoked+1), now)
	if r.has(at(1)) || !r.has(at(2)) || !r.has(at(maxRevoked+1)) || len(r.until) != maxRevoked {
		t.Errorf("%d are remembered", len(r.until))
	}
	r.add(at(maxRevoked+2), now.Add(time.Hour))
	if len(r.until) != maxRevoked+1-3599 {
		t.Errorf("%d are remembered after an hour", len(r.until))
	}
}

// A form leads back to a page of this dashboard, and nowhere else.
func TestBackStaysHere(t *testing.T) {
	for _, base := range []string{"", "/queue"} {
		d := &Dashboard{base: base}
		for to, want := range map[string]string{
			base + "/jobs?state=dead":       base + "/jobs?state=dead",
			base + "/jobs/a%2Fb":            base + "/jobs/a%2Fb",
			base + "/dead#group":            base + "/dead#group",
			"":                              base + "/",
			"https://evil.example/":         base + "/",
			"//evil.example/":               base + "/",
			base + "//evil.example/":        base + "/",
			`/\evil.example`:                base + "/",
			"javascript:alert(1)":           base + "/",
			"jobs":                          base + "/",
			"/\t/evil.example":              base + "/",
			"http:evil.example":             base + "/",
			base + "/jobs\r\nSet-Cookie: a": base + "/",
		} {
			if base != "" && to == base+"//evil.example/" {
				want = base + "//evil.example/" // a path of this host
			}
			if have := d.back(to); have != want {
				t.Errorf("%q leads to %q, want %q", to, have, want)
			}
		}
	}
}

func TestReadTokens(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		text string
		mode os.FileMode
		want string // of the tokens, or of the error
	}{
		{"# who\n\nalice: 0123456789abcdef \n0123456789abcdefgh\n", 0o600, "[{alice 0123456789abcdef} { 0123456789abcdefgh}]"},
		{"0123456789abcdef", 0o400, "[{ 0123456789abcdef}]"},
		{"0123456789abcdef", 0o604, "its mode is 0604"},
		{"0123456789abcdef", 0o644, "its mode is 0644"},
		{"0123456789abcdef", 0o620, "its mode is 0620"},
		{"0123456789abcdef", 0o602, "its mode is 0602"},
		{"0123456789abcde", 0o600, "line 1: a token must have 16 characters or more"},
		{"\nalice:short", 0o600, "line 2: a token must have 16"},
		{"# none\n", 0o600, "there is no token in it"},
		{strings.Repeat("0123456789abcdef\n", 5000), 0o600, "longer than 65536 bytes"},
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		tokens, err := ReadTokens(path)
		have := fmt.Sprint(tokens)
		if err != nil {
			have = err.Error()
		}
		if !strings.Contains(have, c.want) {
			t.Errorf("%q, %o: %s, want %s", c.text[:min(len(c.text), 40)], c.mode, have, c.want)
		}
	}
}
