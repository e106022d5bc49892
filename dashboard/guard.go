package dashboard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// maxBody bounds what a request may send, in bytes: the ids of some ten thousand jobs.
const maxBody = 1 << 20

// policy is what a browser may load, run and send for a page: only what comes from here.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard lets in who may come in, and tells browsers what to keep pages from.
func (d *Dashboard) guard(next http.Handler) http.Handler {
	var crossOrigin http.CrossOriginProtection
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		path, below := strings.CutPrefix(r.URL.Path, d.base)
		switch {
		case !d.knowsHost(r):
			d.refuse(w, r, http.StatusMisdirectedRequest, "this dashboard does not answer to the name "+quote(hostOf(r.Host))+"; queuectl dashboard --allow-host lets it")
			return
		case !below || path != "" && path[0] != '/':
			http.NotFound(w, r)
			return
		}
		if err := crossOrigin.Check(r); err != nil || loadedElsewhere(r) {
			d.refuse(w, r, http.StatusForbidden, "a page of another origin may lead here, but not load or change anything")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		name, known := d.identify(r, path)
		if known {
			r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, visitor{name, known}))
		}
		switch {
		case !known && !open(path):
			d.askForToken(w, r, path)
			return
		case d.opt.ReadOnly && !reads(r) && path != "/login" && path != "/logout":
			d.refuse(w, r, http.StatusForbidden, "this dashboard is read-only")
			return
		}
		if token := r.URL.Query().Get("token"); token != "" && navigates(r, path) && d.usesTokens() {
			d.admit(w, r, token)
			return
		}
		if name == "" {
			name = remoteHost(r)
		}
		ctx := context.WithValue(r.Context(), visitorKey{}, visitor{name, known})
		next.ServeHTTP(w, r.WithContext(fsq.WithActor(ctx, actor(ctx))))
	})
}

// visitor is who asks.
type visitor struct {
	name  string // of his token, or else the address that he asks from
	known bool   // he may see everything
}

type visitorKey struct{}

func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(visitorKey{}).(visitor)
	return v
}

// actor is who acts, for the history of jobs.
func actor(ctx context.Context) string {
	if name := visitorOf(ctx).name; name != "" {
		return "dashboard " + name
	}
	return "dashboard"
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// loadedElsewhere reports whether a page of another site has a browser load this, and does
// not just lead there: it could tell from the time what there is, and keep the queues busy.
func loadedElsewhere(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// navigates reports whether somebody may have typed the address of a page, or followed a
// link to it. Programs that know nothing of Sec-Fetch-Mode do not say otherwise.
func navigates(r *http.Request, path string) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return reads(r) && (mode == "" || mode == "navigate") && !strings.HasPrefix(path, "/api/") && path != "/events" && path != "/metrics"
}

// open reports whether a path needs no token: it shows nothing of the spool.
func open(path string) bool {
	return path == "/login" || path == "/logout" || path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, "/static/")
}

// knowsHost reports whether the request names this dashboard. A page of somebody else whose
// name is made to lead here (DNS rebinding) sends that name.
func (d *Dashboard) knowsHost(r *http.Request) bool {
	host := hostOf(r.Host)
	if slices.Contains(d.opt.AllowHosts, "*") || host == "localhost" || slices.ContainsFunc(d.opt.AllowHosts, func(h string) bool { return strings.EqualFold(hostOf(h), host) }) {
		return true
	}
	// Who gives the address itself has resolved no name.
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ip.IsLoopback() || local != nil && hostOf(local.String()) == ip.String()
}

// hostOf is a host without a port, in lower case.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(s, "[]"), "."))
}

// remoteHost is the address that a request comes from. What a proxy says of another is not
// believed: anybody can say it.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// refuse answers who may not, or cannot, have what he asks for.
func (d *Dashboard) refuse(w http.ResponseWriter, r *http.Request, status int, problem string) {
	if d.wantsPage(r) { // for a stranger one that says nothing of the queues
		d.pageError(w, r, status, problem)
		return
	}
	writeError(w, status, errors.New(problem))
}

// wantsPage reports whether a person is to read the answer.
func (d *Dashboard) wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
