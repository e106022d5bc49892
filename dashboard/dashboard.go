package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// Options say what a Dashboard shows, and to whom.
type Options struct {
	Dir    string   // the spool; it may be made later
	Queues []string // names of the queues; none: all, also those that are made later
	// Open opens one of the queues; the error wraps fs.ErrNotExist if there is none. nil: with
	// the settings in the spool. It is called concurrently, and often.
	Open func(name string) (*fsq.Queue, error)

	BasePath     string   // such as "/queue"; "": the dashboard is all that the server serves
	Tokens       []Token  // who may ask; none: everybody who reaches it
	AllowHosts   []string // names in Host headers, beside those of this machine; "*": any
	ReadOnly     bool     // refuse whatever changes something
	AllowEnqueue bool     // take jobs over the web: whoever may then runs commands here

	Version string       // of the program, to be shown; "": fsq.Version
	Log     *slog.Logger // what goes wrong with no one to tell; nil: nobody is told
}

// Token is a secret by which somebody is let in.
type Token struct {
	Name   string // who it is, for the history of jobs; "": nobody in particular
	Secret string
}

// Dashboard is an http.Handler. It is safe for concurrent use.
type Dashboard struct {
	opt  Options
	base string // BasePath, without a slash at its end
	root http.Handler
	mux  *http.ServeMux // of root
	scan *scanner
	now  func() time.Time

	spool  presence
	pages  pages
	dead   fsq.DeadIndex
	shared shared

	cookie     string // the name of the session's
	revoked    revocations
	viewers    atomic.Int64       // of events
	streams    context.Context    // of all of them
	endStreams context.CancelFunc // and of those to come
}

// New makes a Dashboard. Nothing runs before somebody asks for something; Close ends what
// runs then.
func New(opt Options) (*Dashboard, error) {
	d := &Dashboard{opt: opt, base: strings.TrimSuffix(opt.BasePath, "/"), now: time.Now}
	if err := checkBasePath(d.base); err != nil {
		return nil, err
	}
	for _, host := range opt.AllowHosts {
		if err := checkHost(host); err != nil {
			return nil, err
		}
	}
	if opt.Dir == "" {
		return nil, errors.New("the dashboard needs the directory of a spool")
	}
	if d.opt.Open == nil {
		d.opt.Open = func(name string) (*fsq.Queue, error) { return openQueue(opt.Dir, name) }
	}
	if d.opt.Version == "" {
		d.opt.Version = fsq.Version
	}
	if d.opt.Log == nil {
		d.opt.Log = slog.New(slog.DiscardHandler)
	}
	for _, t := range opt.Tokens {
		if err := t.Validate(); err != nil {
			return nil, err
		}
	}
	d.cookie = cookieName(opt.Dir, d.base)
	d.streams, d.endStreams = context.WithCancel(context.Background())
	d.scan = newScanner(d)
	d.root = compress(d.guard(d.routes()))
	return d, nil
}

// checkBasePath refuses what is no path, or another one for a browser, a proxy or
// http.ServeMux. Base has no slash at its end.
func checkBasePath(base string) error {
	if base == "" {
		return nil
	}
	below, ok := strings.CutPrefix(base, "/")
	for segment := range strings.SplitSeq(below, "/") {
		ok = ok && segment != "" && segment != "." && segment != ".." && strings.Trim(segment, nameChars+"~") == ""
	}
	if !ok {
		return fmt.Errorf("the base path must be a slash and a name, such as /queue or /tools/queue, of letters, digits and -._~, not %q", base)
	}
	return nil
}

const nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._"

// checkHost refuses what no Host header can be: a URL, above all. It would let nobody in.
func checkHost(host string) error {
	if host == "*" || hostOf(host) != "" && strings.Trim(host, nameChars+":[]%") == "" {
		return nil
	}
	return fmt.Errorf("a host that is allowed must be a name such as queue.example.org, an address, or *, not %q", host)
}

// Close ends the scan, and the connections that are told of changes.
func (d *Dashboard) Close() {
	d.endStreams()
	d.scan.close()
}

// Warm begins to look at the queues, so that the first page need not wait for that. If
// nobody comes it stops as always.
func (d *Dashboard) Warm(ctx context.Context) { _ = d.snapshot(ctx) }

// Handler is d itself.
func (d *Dashboard) Handler() http.Handler { return d }

// ServeHTTP serves a page, a call or an event stream.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.root.ServeHTTP(w, r) }

// route is a pattern of http.ServeMux without the base path, and what answers it.
type route struct {
	pattern string
	answer  http.HandlerFunc
}

func (d *Dashboard) allRoutes() []route {
	return append([]route{
		{"GET /{$}", d.pageOverview},
		{"GET /jobs", d.pageJobs},
		{"GET /jobs/{id}", d.pageJob},
		{"GET /dead", d.pageDead},
		{"GET /queues", d.pageQueues},
		{"GET /workers", d.pageWorkers},
		{"GET /events", d.events},
		{"GET /static/{file}", d.static},
		{"GET /metrics", d.metrics},
		{"GET /healthz", d.healthz},
		{"GET /readyz", d.readyz},
		{"POST /login", d.login},
		{"POST /logout", d.logout},
		{"/", d.nowhere},
	}, d.apiRoutes()...)
}

func (d *Dashboard) routes() *http.ServeMux {
	mux := http.NewServeMux()
	d.mux = mux
	for _, r := range d.allRoutes() {
		method, path, named := strings.Cut(r.pattern, " ")
		if !named {
			method, path = "", r.pattern
		}
		mux.HandleFunc(strings.TrimPrefix(method+" "+d.base+path, " "), r.answer)
	}
	if d.base != "" {
		mux.Handle(d.base, http.RedirectHandler(d.base+"/", http.StatusMovedPermanently))
	}
	return mux
}

// nowhere answers for what there is not, or not by that method.
func (d *Dashboard) nowhere(w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := &http.Request{Method: method, Host: r.Host, URL: r.URL}
		if _, pattern := d.mux.Handler(other); strings.HasPrefix(pattern, method+" ") {
			w.Header().Set("Allow", method)
			d.refuse(w, r, http.StatusMethodNotAllowed, quote(r.URL.Path)+" takes "+method+" alone")
			return
		}
	}
	d.refuse(w, r, http.StatusNotFound, "there is nothing at "+quote(r.URL.Path))
}

// url is the path of a page, a file or a call below the base path.
func (d *Dashboard) url(path string) string { return d.base + path }

// queues opens the queues that are shown, in order. No spool is none; a queue that is
// removed meanwhile is left out.
func (d *Dashboard) queues() ([]*fsq.Queue, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	qs := make([]*fsq.Queue, 0, len(names))
	for _, name := range names {
		q, err := d.opt.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		qs = append(qs, q)
	}
	return qs, nil
}

// names are those of the queues that are shown. The error wraps errGone if there is no spool
// any more.
func (d *Dashboard) names() ([]string, error) {
	names, err := fsq.QueueNames(d.opt.Dir)
	if gone := d.spool.look(d.opt.Dir, err, d.now()); gone != nil {
		return nil, gone
	}
	if len(d.opt.Queues) > 0 {
		return d.opt.Queues, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}
