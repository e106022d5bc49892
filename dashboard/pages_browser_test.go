package dashboard

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/queuectl/queuectl/fsq"
)

// pagesOf are all pages of a fixture, by name.
func pagesOf(f *fixture) map[string]string {
	pages := map[string]string{
		"overview": "/", "jobs": "/jobs", "dead": "/dead", "queues": "/queues", "workers": "/workers",
		"week": "/?span=week", "nothing": "/jobs?command=nothing-has-this", "wrong": "/jobs?state=nonsense", "absent": "/jobs/no-such-job",
	}
	if f.n > 0 {
		pages["job"], pages["hostile"], pages["running"] = jobPath("", f.anyDead), jobPath("", hostileID), jobPath("", "encode-run-0")
	}
	return pages
}

// expectErrors are what the browser says of the pages of pagesOf that tell of a mistake.
func (b *tab) expectErrors() {
	b.expect("400 (Bad Request)")
	b.expect("404 (Not Found)")
}

// TestNothingIsTooWide: no page has to be scrolled sideways.
func TestNothingIsTooWide(t *testing.T) {
	for _, jobs := range []int{0, 120} {
		f := newFixture(t, jobs)
		b := browse(t, f)
		b.expectErrors()
		for name, path := range pagesOf(f) {
			b.visit(path)
			for _, width := range []int64{360, 561, 768, 921, 1101, 1920} {
				b.size(width, 800)
				const tooWide = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll,nav,pre,.skip,.sr,svg,.tab"))
					.map(e => e.tagName + "." + e.className + " " + Math.round(e.getBoundingClientRect().right)).slice(0, 5).join("; ")`
				if wide := eval[float64](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
					t.Errorf("%s with %d jobs: %v px too wide at %d: %s", name, jobs, wide, width, eval[string](b, tooWide))
				} else if out := eval[string](b, tooWide); out != "" {
					t.Errorf("%s with %d jobs at %d: beyond the edge: %s", name, jobs, width, out)
				}
			}
		}
	}
}

// axe is the source of axe-core, which finds breaches of WCAG. npm brings it, as there is
// no other reason to keep half a megabyte of somebody's JavaScript here.
var axe = sync.OnceValues(func() (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errNoNPM
	}
	dir, err := os.MkdirTemp("", "queuectl-axe-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "axe-core@4")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("npm pack axe-core@4: " + err.Error() + ": " + string(out))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", errors.New("npm pack has left no package")
	}
	return fromPackage(found[0], "package/axe.min.js")
})

var errNoNPM = errors.New("there is no npm here; scripts/test installs it")

func fromPackage(path, member string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err != nil {
			return "", err
		}
		if h.Name == member {
			data, err := io.ReadAll(r)
			return string(data), err
		}
	}
}

// TestAccessible has axe-core look at each page, light and dark, narrow and wide.
func TestAccessible(t *testing.T) {
	source, err := axe()
	if errors.Is(err, errNoNPM) {
		t.Skip("skipped without axe-core: ", err)
	}
	must(t, err)
	type violation struct{ ID, Help, Nodes string }
	const (
		everything = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
		// What else depends on the colours and on the width.
		looks = `{ type: "rule", values: ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"] }`
	)
	look := func(b *tab, what, rules string) {
		b.t.Helper()
		found := eval[[]violation](b, `axe.run(document, { resultTypes: ["violations"], runOnly: `+rules+` })
			.then(r => r.violations.map(v => ({ ID: v.id, Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + n.failureSummary).join("; ") })))`)
		for _, v := range found {
			b.t.Errorf("%s: %s: %s: %s", what, v.ID, v.Help, v.Nodes)
		}
	}
	for _, jobs := range []int{0, 120} {
		f := newFixture(t, jobs)
		b := browse(t, f)
		b.expectErrors()
		pages := pagesOf(f)
		delete(pages, "week") // is the overview
		if jobs > 0 {
			pages["jobs"] = "/jobs?limit=25"
		}
		for name, path := range pages {
			b.visit(path)
			b.until(isLive)
			eval[bool](b, source+"; true")
			// What is folded is looked at as well.
			eval[bool](b, `for (const d of document.querySelectorAll("details")) d.open = true; true`)
			b.size(1440, 900)
			b.scheme("light")
			look(b, name+", light and wide", everything)
			b.scheme("dark")
			if jobs > 0 {
				look(b, name+", dark and wide", looks)
			}
			b.size(360, 800)
			look(b, name+", dark and narrow", everything)
			if jobs > 0 {
				b.scheme("light")
				look(b, name+", light and narrow", looks)
			}
		}
	}
}

// TestHostileText: what jobs say is shown, and does nothing.
func TestHostileText(t *testing.T) {
	f := newFixture(t, 60)
	b := browse(t, f)
	b.expectErrors()
	for name, path := range pagesOf(f) {
		b.visit(path)
		b.until(`document.getElementById("live").dataset.s === "live"`)
		if eval[bool](b, `"pwned" in window || document.querySelector("img,main script,iframe,object,b[onmouseover],[onload],[onerror]") !== null || document.title.includes("a title")`) {
			t.Errorf("%s: a job's text came alive", name)
		}
	}
	b.visit(jobPath("", hostileID))
	text := eval[string](b, "document.body.textContent")
	for _, want := range []string{
		hostileID, "<script>window.pwned=1</script>", `\u202egnp.exe\u2066 \x1b[31mred\x1b[0m &amp; {{.}}`, hostileTag, "</title>",
		`\u202eevil\u202c \x1b]0;title\x07`, "12345678901234567890.123456789", "red and bold", "100% loaded", "\ufffd\ufffd not UTF-8", "moved<script>",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not show %q", want)
		}
	}
	for _, no := range []string{"\x1b", "10%", "a title", "\u0007"} {
		if strings.Contains(text, no) {
			t.Errorf("it shows %q", no)
		}
	}
	if colour := eval[string](b, `getComputedStyle(document.querySelector("#log-stderr .f1.b")).fontWeight`); colour != "700" {
		t.Errorf("bold is %s", colour)
	}
	if size := eval[int](b, "document.documentElement.outerHTML.length"); size > 200_000 {
		t.Errorf("the page of a job with a line of a mebibyte has %d characters", size)
	}
	// The environment is there, and folded away.
	if eval[bool](b, `document.querySelector("[data-live=env] details").open`) || !eval[bool](b, `document.querySelector("[data-live=env] dl").textContent.includes("SECRET")`) {
		t.Error("the environment is not hidden")
	}
	if doc := eval[string](b, `document.getElementById("doc").textContent`); strings.Contains(doc, `"SECRET": "<`) {
		t.Error("the stored job shows the environment")
	}
}

// liveRig is a small spool whose queue a test changes while it looks.
func liveRig(t *testing.T, opts ...func(*Options)) (*fsq.Queue, *tab) {
	t.Helper()
	f := newFixture(t, 0)
	q, err := fsq.OpenExisting(f.dir, fsq.DefaultConfig())
	must(t, err)
	return q, browse(t, f, opts...)
}

func enqueue(t *testing.T, q *fsq.Queue, id, command string) {
	t.Helper()
	_, err := q.Enqueue(t.Context(), fsq.Job{ID: id, Command: fsq.Command{Shell: command}, Tags: []string{"tag"}})
	must(t, err)
}

const isLive = `document.getElementById("live").dataset.s === "live"`

// TestLive: a page shows what changes without being loaded again, and leaves alone what
// somebody has his eyes and hands on.
func TestLive(t *testing.T) {
	q, b := liveRig(t)
	for i := range 30 {
		enqueue(t, q, "first-"+string(rune('a'+i)), strings.Repeat("true && ", 40)+"true")
	}
	b.size(1200, 500)
	b.visit("/")
	b.until(isLive)
	eval[bool](b, `window.loadedOnce = true`)
	enqueue(t, q, "second", "false")
	b.until(`document.querySelector(".tiles a").textContent.includes("31")`)

	b.visit("/jobs")
	b.until(isLive)
	eval[bool](b, `window.loadedOnce = true; document.querySelector("tbody details").open = true; scrollTo(0, 300); document.getElementById("find").value = "typed"; document.getElementById("find").focus({ preventScroll: true }); true`)
	eval[bool](b, `(() => { const r = document.createRange(); r.selectNodeContents(document.querySelectorAll("tbody a.id")[5]); getSelection().removeAllRanges(); getSelection().addRange(r); return true })()`)
	selected := eval[string](b, `String(getSelection())`)
	const place = `Math.round(document.querySelectorAll("tbody tr")[9].getBoundingClientRect().top)`
	top := eval[int](b, place)
	must(t, q.Hold(t.Context(), "first-c"))
	b.until(`[...document.querySelectorAll("tbody tr")].some(r => r.textContent.includes("first-c") && r.textContent.includes("held"))`)
	enqueue(t, q, "third", "true")
	b.until(`!document.getElementById("news").hidden`)
	got := eval[string](b, `[window.loadedOnce, document.querySelector("tbody details").open, document.activeElement.id, document.getElementById("find").value, String(getSelection())].join()`)
	if want := "true,true,find,typed," + selected; got != want {
		t.Errorf("after changes: %s, not %s", got, want)
	}
	if now := eval[int](b, place); now != top {
		t.Errorf("what is read has moved by %d px", now-top)
	}
	if eval[bool](b, `document.querySelector("tbody").textContent.includes("third")`) {
		t.Error("a row came in under the reader's eyes")
	}
	b.click("#news-show")
	b.until(`document.querySelector("tbody").textContent.includes("third") && document.getElementById("news").hidden && scrollY === 0`)
	if !eval[bool](b, "window.loadedOnce") {
		t.Error("the page was loaded again")
	}

	// A pause holds, and r ends it.
	eval[bool](b, `document.activeElement.blur(); true`)
	b.do(chromedp.KeyEvent("r"))
	b.until(`document.getElementById("live").textContent === "Paused"`)
	waitFor(t, func() bool { return b.d.viewers.Load() == 0 })
	b.do(chromedp.KeyEvent("r"))
	b.until(isLive)

	// Nobody looks at a hidden tab.
	eval[bool](b, `Object.defineProperty(document, "hidden", { value: true, configurable: true }); document.dispatchEvent(new Event("visibilitychange")); true`)
	waitFor(t, func() bool { return b.d.viewers.Load() == 0 })
	eval[bool](b, `delete document.hidden; document.dispatchEvent(new Event("visibilitychange")); true`)
	b.until(isLive)
}

// waitFor waits until something is so.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatal("it never came to be")
		case <-tick.C:
		}
	}
}

// TestConnectionLost: a page says that it is not told of changes any more, and goes on when
// it can.
func TestConnectionLost(t *testing.T) {
	f := newFixture(t, 0)
	d, err := New(Options{Dir: f.dir})
	must(t, err)
	t.Cleanup(d.Close)
	var down atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		d.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	b := newTab(t, d, srv.URL)
	b.expect("502")
	b.expect("ERR_")
	b.visit("/")
	b.until(isLive)
	down.Store(true)
	srv.CloseClientConnections()
	b.until(`document.getElementById("live").textContent.startsWith("Connection lost")`)
	down.Store(false)
	b.until(isLive)
}

// confirm answers the question of the dialog that is open.
func (b *tab) confirm(words ...string) {
	b.t.Helper()
	b.until(`document.getElementById("ask").open`)
	text := eval[string](b, `document.getElementById("ask").textContent`)
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.t.Errorf("the question does not say %q: %s", w, text)
		}
	}
	b.click("#ask-yes")
	b.until(`!document.getElementById("ask").open`)
}

// told waits for a message and takes it away.
func (b *tab) told(words string) {
	b.t.Helper()
	b.until(`document.getElementById("toasts").textContent.includes(` + quoteJS(b.t, words) + `)`)
	eval[bool](b, `document.getElementById("toasts").replaceChildren(); true`)
}

const inTheMiddle = `{ block: "center" }` //nolint:misspell // the browser spells it so

// click clicks on an element, once it can be seen and nothing lies over it. It asks the
// page for all that: nodes that the protocol has told of may be others by then.
func (b *tab) click(css string) {
	b.t.Helper()
	find := "document.querySelector(" + quoteJS(b.t, css) + ")"
	b.until(`(() => { const e = ` + find + `; if (!e?.checkVisibility()) return false; e.scrollIntoView(` + inTheMiddle + `);
		const r = e.getBoundingClientRect(), at = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2); return at !== null && (e.contains(at) || at.contains(e)) })()`)
	eval[bool](b, find+".click(); true")
}

// set writes into a field.
func (b *tab) set(css, value string) {
	b.t.Helper()
	find := "document.querySelector(" + quoteJS(b.t, css) + ")"
	b.until(find + " !== null")
	eval[bool](b, find+".value = "+quoteJS(b.t, value)+"; true")
}

func quoteJS(t *testing.T, s string) string {
	t.Helper()
	data, err := json.Marshal(s)
	must(t, err)
	return string(data)
}

func (b *tab) press(label string) {
	b.t.Helper()
	b.click(`form[data-act="` + label + `"] button`)
}

func stateOf(t *testing.T, q *fsq.Queue, id string) fsq.State {
	t.Helper()
	i, err := q.Get(t.Context(), id)
	if errors.Is(err, fsq.ErrNotFound) {
		return "gone"
	}
	must(t, err)
	return i.State
}

// TestJobActions does on a job's page what can be done there.
func TestJobActions(t *testing.T) {
	q, b := liveRig(t)
	enqueue(t, q, "one", "true")
	b.visit("/jobs/one")
	b.until(isLive)
	steps := []struct {
		press, ask, told string
		want             fsq.State
	}{
		{"Hold", "", ": held", fsq.Held},
		{"Run now", "", ": due now", fsq.Pending},
		{"Hold", "", ": held", fsq.Held},
		{"Release", "", ": released", fsq.Pending},
		{"Cancel", "Cancel job one?", ": cancelled", fsq.Cancelled},
		{"Retry", "", ": retried", fsq.Pending},
	}
	for _, s := range steps {
		b.press(s.press)
		if s.ask != "" {
			b.confirm(s.ask)
		}
		b.told(s.told)
		if got := stateOf(t, q, "one"); got != s.want {
			t.Fatalf("%s: the job is %s, not %s", s.press, got, s.want)
		}
		b.until(`document.querySelector("[data-live=jobstate]").textContent.includes("` + string(s.want) + `")`)
	}
	// What cannot be done says why.
	b.click(`button[data-why]`)
	b.told("It is due already")
	b.set(`input[name=priority]`, "7")
	b.set(`input[name=run_at]`, "+10m")
	b.press("Change")
	b.told(": changed")
	if i, err := q.Get(t.Context(), "one"); err != nil || i.Priority != 7 || i.State != fsq.Scheduled {
		t.Errorf("%+v, %v", i, err)
	}
	b.set(`input[name=priority]`, "70")
	b.set(`input[name=run_at]`, "whenever")
	b.expect("400 (Bad Request)")
	b.press("Change")
	b.until(`document.querySelector(".toast.bad").textContent.includes("run_at must be")`)
	b.set(`input[name=run_at]`, "+20m")
	b.press("Change")
	b.told(": changed")
	if eval[bool](b, `document.querySelector(".toast.bad") !== null`) {
		t.Error("what was wrong is still said when it is right")
	}
	// What is deleted leads back to the list that it was chosen from.
	b.visit("/jobs?command=true")
	b.until(isLive)
	b.visit("/jobs/one")
	b.until(isLive)
	b.press("Delete")
	b.confirm("Delete job one", "Nothing brings it back")
	b.until(`location.pathname + location.search === "/jobs?command=true"`)
	b.told("Job one: deleted")
	if got := stateOf(t, q, "one"); got != "gone" {
		t.Errorf("the job is %s", got)
	}
	// A job that somebody else has deleted.
	enqueue(t, q, "two", "true")
	b.visit("/jobs/two")
	b.until(isLive)
	must(t, q.Delete(t.Context(), "two"))
	b.expect("404 (Not Found)")
	enqueue(t, q, "three", "true")
	b.until(`document.getElementById("live").textContent === "It is not there any more" && document.querySelector("main").textContent.includes("two")`)
}

// TestBulkInTheBrowser does something to the selected jobs, and to all that match.
func TestBulkInTheBrowser(t *testing.T) {
	q, b := liveRig(t)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		enqueue(t, q, id, "true "+id)
	}
	b.size(1200, 800)
	b.visit("/jobs?limit=4&state=pending")
	b.until(isLive)
	pick := func(id string) {
		t.Helper()
		b.click(`input[value="default/` + id + `"]`)
	}
	bulk := func(label string) {
		t.Helper()
		b.click(`[data-bulk="` + label + `"]`)
	}
	pick("a")
	pick("b")
	must(t, q.Delete(t.Context(), "b"))
	bulk("Hold")
	b.confirm("Hold 2 jobs?")
	b.told(`1 job done, 1 failed`)
	if a, bb := stateOf(t, q, "a"), stateOf(t, q, "b"); a != fsq.Held || bb != "gone" {
		t.Errorf("a is %s, b is %s", a, bb)
	}
	// All on the page, then all that match.
	b.visit("/jobs?limit=2&state=pending&command=true")
	b.until(isLive)
	b.click("#all")
	b.until(`!document.getElementById("pickall").hidden`)
	b.click("#pickall")
	bulk("Cancel")
	b.confirm("Cancel 4 jobs?", "on other pages")
	b.told(": cancelled")
	for _, id := range []string{"c", "d", "e", "f"} {
		if got := stateOf(t, q, id); got != fsq.Cancelled {
			t.Errorf("%s is %s", id, got)
		}
	}
	if got := stateOf(t, q, "a"); got != fsq.Held {
		t.Errorf("a does not match, and is %s", got)
	}
	// Without a filter all are meant, and it is said how many.
	b.visit("/jobs?limit=2")
	b.until(isLive)
	b.click("#all")
	b.click("#pickall")
	bulk("Retry")
	b.confirm("Retry 4 jobs?") // those that were cancelled
	b.told("4 jobs: retried")
	// Where there is no room for the head of the table there is a button.
	b.size(400, 800)
	b.visit("/jobs?limit=2")
	b.until(isLive)
	b.click("#pickpage")
	b.until(`document.getElementById("picked").textContent === "2 jobs selected"`)
	b.size(1200, 800)
	// What none of the selected is in a state for is not offered.
	b.visit("/jobs?command=true")
	b.until(isLive)
	pick("a") // is held
	b.until(`document.querySelector("[data-bulk=Release]").getAttribute("aria-disabled") === "false"`)
	bulk("Retry")
	b.told("Retry is for jobs that are dead or cancelled")
	// Priority and time of the selected.
	b.visit("/jobs")
	b.until(isLive)
	pick("c")
	pick("d")
	b.click("#bulk-set")
	b.set("#ask input[name=priority]", "-3")
	b.confirm("Change 2 jobs")
	b.told("2 jobs: changed")
	for _, id := range []string{"c", "d"} {
		if i, err := q.Get(t.Context(), id); err != nil || i.Priority != -3 {
			t.Errorf("%s: %+v, %v", id, i, err)
		}
	}
	// What a state does not allow is not offered, and says why.
	b.visit("/jobs?state=pending")
	b.until(isLive)
	b.click("#bulkbar button[data-why]")
	b.told("Retry is for jobs that are dead or cancelled")
	// A question can be answered with no.
	pick("c")
	bulk("Delete")
	b.until(`document.getElementById("ask").open`)
	b.click("#ask button[value=no]")
	b.until(`!document.getElementById("ask").open`)
	if got := stateOf(t, q, "c"); got != fsq.Pending {
		t.Errorf("c is %s", got)
	}
}

// TestGoOn: where nothing was found in as many files as are read at once, it is said so, and
// read on.
func TestGoOn(t *testing.T) {
	f := newFixture(t, readsAtOnce+1000)
	b := browse(t, f)
	const path = "/jobs?command=nothing-has-this"
	b.visit(path)
	b.until(`document.querySelector("[data-live=list]").textContent.includes("No job matches.") && !document.getElementById("goon") && location.search.includes("after=")`)
	// Who stops it stays where he is.
	stopper := command(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `addEventListener("DOMContentLoaded", () => setTimeout(() => document.getElementById("goon-stop").click()))`,
	})
	b.visit(path)
	b.until(isLive + ` && !document.body.classList.contains("going")`)
	if eval[bool](b, `document.getElementById("goon") === null || location.search.includes("after=")`) {
		t.Error("it went on")
	}
	command(b, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams(stopper))
	// Who has no JavaScript, or has stopped it, finds a link.
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit(path)
	s, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("main")))
	must(t, err)
	if !regexp.MustCompile(`none so far, [0-9,]+ of about 21,000 read`).MatchString(s) || !strings.Contains(s, "Go on") || strings.Contains(s, "No job matches") {
		t.Error(s)
	}
}

// TestEnqueueOnThePage: only where that is allowed.
func TestEnqueueOnThePage(t *testing.T) {
	q, b := liveRig(t, func(o *Options) { o.AllowEnqueue = true })
	b.visit("/jobs")
	b.until(isLive)
	b.click("section details summary")
	b.set("form[data-act=Enqueue] input[name=command]", "true")
	b.set("form[data-act=Enqueue] input[name=id]", "mine")
	b.set("form[data-act=Enqueue] input[name=priority]", "7")
	b.set("form[data-act=Enqueue] input[name=run_at]", "+10m")
	b.press("Enqueue")
	b.told("Job mine: enqueued")
	if i, err := q.Get(t.Context(), "mine"); err != nil || i.Command.String() != "true" || i.Priority != 7 || i.State != fsq.Scheduled {
		t.Errorf("%+v, %v", i, err)
	}
	_, other := liveRig(t)
	other.visit("/jobs")
	if eval[bool](other, `document.querySelector("form[data-act=Enqueue]") !== null`) {
		t.Error("jobs can be enqueued where that is not allowed")
	}
}

// TestGraphIsRead: the pointer over a graph reads what stands in the table for that time.
func TestGraphIsRead(t *testing.T) {
	b := browse(t, newFixture(t, 120))
	b.visit("/?span=week")
	b.until(isLive)
	type spot struct{ X, Y float64 }
	at := eval[spot](b, `(() => { const p = document.querySelector(".graph .plot"); p.scrollIntoView({ block: "nearest" });
		const i = Number(document.querySelector(".graph tbody tr:nth-child(3)").dataset.i), r = p.getBoundingClientRect();
		return { X: r.left + (i + .5) * r.width / Number(p.dataset.n), Y: r.top + r.height / 2 }; })()`)
	b.do(chromedp.MouseEvent("mouseMoved", at.X, at.Y))
	b.until(`!document.querySelector(".read").hidden && document.querySelector("path.mark") !== null`)
	have, want := eval[string](b, `document.querySelector(".read").innerText`), eval[string](b, `(() => { const f = document.querySelector(".graph"), keys = [...f.querySelectorAll("thead th")].slice(1), tr = f.querySelector("tbody tr:nth-child(3)");
		return [tr.querySelector("time").textContent, ...[...tr.querySelectorAll("td")].map((d, k) => keys[k].textContent + " " + d.textContent)].join("\n"); })()`)
	if !strings.HasSuffix(have, want) || strings.Count(have, "\n") != 2 {
		t.Errorf("it reads %q, the table has %q", have, want)
	}
	b.do(chromedp.MouseEvent("mouseMoved", 5, 5))
	b.until(`document.querySelector(".read").hidden && document.querySelector("path.mark") === null`)
}

// TestQueuesAndWorkers pauses a queue, resumes it, changes a setting, and stops workers.
func TestQueuesAndWorkers(t *testing.T) {
	f := newFixture(t, 120)
	b := browse(t, f)
	q, err := fsq.OpenExistingQueue(f.dir, "mail", fsq.DefaultConfig())
	must(t, err)
	b.visit("/queues")
	b.until(isLive)
	in := func(css string) string { return "[data-live=q-mail] " + css }
	eval[bool](b, `for (const d of document.querySelectorAll("[data-live=q-mail] details")) d.open = true; true`)
	b.set(in("input[name=reason]"), "<b>upgrade")
	b.set(in("input[name=until]"), "+2h")
	b.click(in("form[data-act=Pause] button"))
	b.told("Pause: it is paused")
	if p, err := q.Paused(); err != nil || p == nil || p.Reason != "<b>upgrade" || p.Until.IsZero() || !strings.HasPrefix(p.By, "dashboard") {
		t.Errorf("%+v, %v", p, err)
	}
	b.until(`document.querySelector("[data-live=q-mail]").textContent.includes("<b>upgrade")`)
	b.click(in("form[data-act=Resume] button"))
	b.told("Resume: it takes jobs again")
	if p, err := q.Paused(); err != nil || p != nil {
		t.Errorf("%+v, %v", p, err)
	}
	b.until(`document.querySelector("[data-live=q-mail]").textContent.includes("takes jobs")`)
	b.set(in("input[name=limit]"), "3")
	b.click(in("form[data-act=Limit] button"))
	b.told("Limit: it holds from now on")
	if n, err := q.Limit(); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	b.until(`document.querySelector("[data-live=q-mail]").textContent.includes("of at most 3 at the same time")`)
	eval[bool](b, `document.querySelector("[data-live=q-mail] [data-k=limit]").open = true`)
	b.set(in("input[name=limit]"), "")
	b.click(in("form[data-act=Limit] button"))
	b.until(`document.querySelector("[data-live=q-mail]").textContent.includes("Parallelismas many as there are slots")`)
	if n, err := q.Limit(); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	b.set(in("input[name=max-retries]"), "9")
	b.click(in("form[data-act=Save] button"))
	b.told("Save: saved")
	if s, err := q.Settings(); err != nil || s["max-retries"] != "9" || len(s) != 1 {
		t.Errorf("%v, %v", s, err)
	}

	b.visit("/workers")
	b.until(isLive)
	if !eval[bool](b, `document.querySelector("main").textContent.includes("web7") && document.querySelector("tr .lost") !== null`) {
		t.Error("the lost worker is not plain to see")
	}
	mail := eval[string](b, `[...document.querySelectorAll("tbody tr")].find(r => r.textContent.includes("default, mail")).dataset.k`)
	b.click(`tr[data-k="` + mail + `"] form[data-act=Drain] button`)
	b.told("Drain: asked to end")
	workers, err := q.Workers(t.Context())
	must(t, err)
	if len(workers) != 1 || workers[0].State != fsq.WorkerStopping {
		t.Errorf("%+v", workers)
	}
	b.click(`form[data-act="Drain all"] button`)
	b.confirm("Drain 1 worker?") // one process that serves two queues
	b.told("Drain all: asked to end")
}

// TestKeys: the pages can be used without a mouse.
func TestKeys(t *testing.T) {
	q, b := liveRig(t)
	enqueue(t, q, "a", "true")
	enqueue(t, q, "b", "true")
	b.visit("/")
	b.until(isLive)
	for key, path := range map[string]string{"j": "/jobs", "d": "/dead", "q": "/queues", "w": "/workers", "o": "/"} {
		b.do(chromedp.KeyEvent("g"), chromedp.KeyEvent(key))
		b.until(`location.pathname === "` + path + `" && ` + isLive)
	}
	b.do(chromedp.KeyEvent("?"))
	b.until(`document.getElementById("keys").open`)
	b.do(chromedp.KeyEvent("\x1b"))
	b.until(`!document.getElementById("keys").open`)
	b.do(chromedp.KeyEvent("/"))
	b.until(`location.pathname === "/jobs" && document.activeElement.id === "find" && ` + isLive)
	b.do(chromedp.KeyEvent("\x1b"), chromedp.KeyEvent("jjkx"))
	b.until(`document.querySelector("tbody tr.cur.sel input").checked && document.getElementById("picked").textContent === "1 job selected"`)
	b.do(chromedp.KeyEvent("t"))
	b.until(`document.getElementById("zone").textContent === "UTC" && document.querySelector("tbody time").title.endsWith("UTC")`)
	b.do(chromedp.KeyEvent("\r"))
	b.until(`location.pathname.startsWith("/jobs/")`)
}

// TestWithoutJavaScript: all can be read, filtered and done by links and forms.
func TestWithoutJavaScript(t *testing.T) {
	f := newFixture(t, 60)
	b := browse(t, f)
	b.expectErrors()
	command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	text := func() string {
		t.Helper()
		s, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
		must(t, err)
		return s
	}
	for name, path := range pagesOf(f) {
		b.visit(path)
		if s := text(); !strings.Contains(s, "Overview") || strings.Contains(s, "cannot be shown") || strings.Contains(s, "Pause\nUTC") {
			t.Errorf("%s: %s", name, s)
		}
	}
	q, err := fsq.OpenExisting(f.dir, fsq.DefaultConfig())
	must(t, err)
	enqueue(t, q, "mine", "echo by hand")
	b.visit("/jobs/mine")
	b.do(chromedp.Click(chromedp.CSS("form[data-act=Hold] button")), chromedp.WaitVisible(chromedp.CSS(".flash")))
	if s := text(); !strings.Contains(s, "1 job held") || stateOf(t, q, "mine") != fsq.Held {
		t.Errorf("%s: %s", stateOf(t, q, "mine"), s)
	}
	b.visit("/jobs")
	b.do(chromedp.SetValue(chromedp.CSS("#find"), "BY HAND"), chromedp.Click(chromedp.CSS("form.filter button")))
	waitFor(t, func() bool {
		at, err := chromedp.Run(b.ctx, chromedp.Location())
		return err == nil && strings.Contains(at, "command=BY+HAND")
	})
	b.visit("/jobs?command=BY+HAND") // no node of the page before is meant
	b.do(chromedp.Click(chromedp.CSS(`input[value="default/mine"]`)), chromedp.Click(chromedp.CSS(`[data-bulk=Release]`)), chromedp.WaitVisible(chromedp.CSS(".flash")))
	if s := text(); !strings.Contains(s, "1 job released") || stateOf(t, q, "mine") != fsq.Pending {
		t.Errorf("%s: %s", stateOf(t, q, "mine"), s)
	}
	// What cannot be taken back takes two steps.
	b.visit("/jobs/mine")
	if s := text(); !strings.Contains(s, "Delete…") {
		t.Error(s)
	}
	b.do(chromedp.Click(chromedp.CSS("details.sure:has(form[data-act=Delete]) summary")), chromedp.WaitVisible(chromedp.CSS("form[data-act=Delete] button")))
	if got := stateOf(t, q, "mine"); got != fsq.Pending {
		t.Errorf("it is %s", got)
	}
	b.do(chromedp.Click(chromedp.CSS("form[data-act=Delete] button")), chromedp.WaitVisible(chromedp.CSS(".flash")))
	if s := text(); !strings.Contains(s, "1 job deleted") || stateOf(t, q, "mine") != "gone" {
		t.Errorf("%s: %s", stateOf(t, q, "mine"), s)
	}
	b.visit("/queues")
	b.do(chromedp.Click(chromedp.CSS("[data-live=q-reports] form[data-act=Resume] button")), chromedp.WaitVisible(chromedp.CSS(".flash")))
	if s := text(); !strings.Contains(s, "takes jobs again") {
		t.Error(s)
	}
}

// TestReadOnlyPages have nothing on them that changes anything.
func TestReadOnlyPages(t *testing.T) {
	f := newFixture(t, 60)
	d, err := New(Options{Dir: f.dir, ReadOnly: true, BasePath: "/queue"})
	must(t, err)
	t.Cleanup(d.Close)
	for name, path := range pagesOf(f) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/queue"+path, http.NoBody)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		page := w.Body.String()
		for _, part := range []string{`action="/queue/api`, "formaction", "data-act=", `type="checkbox"`} {
			if strings.Contains(page, part) {
				t.Errorf("%s has %s", name, part)
			}
		}
		// Below a base path every link is, too.
		for _, part := range []string{`href="/`, `src="/`, `action="/`} {
			if n, below := strings.Count(page, part), strings.Count(page, part+"queue/"); n != below {
				t.Errorf("%s: %d of %d %s lead below the base path", name, below, n, part)
			}
		}
		if !strings.Contains(page, ">read-only</span>") {
			t.Errorf("%s does not say that it is read-only", name)
		}
		if !strings.Contains(page, `href="/queue/jobs"`) {
			t.Errorf("%s has no navigation", name)
		}
	}
}

// TestLogin: who has the token sees the pages, and who has not is asked for it.
func TestLogin(t *testing.T) {
	f := newFixture(t, 0)
	b := browse(t, f, func(o *Options) { o.Tokens = []Token{{Name: "ann", Secret: "0123456789abcdef0123"}} })
	b.expect("401 (")
	b.visit("/queues")
	b.do(chromedp.SendKeys(chromedp.CSS("input[name=token]"), "wrong\r"))
	b.until(`document.querySelector("[role=alert]")?.textContent === "That is not a token."`)
	if source, err := axe(); err == nil {
		eval[bool](b, source+"; true")
		if n := eval[string](b, `axe.run().then(r => r.violations.map(v => v.id + " " + v.nodes[0].html).join())`); n != "" {
			t.Error(n)
		}
	}
	b.do(chromedp.SendKeys(chromedp.CSS("input[name=token]"), "0123456789abcdef0123\r"))
	b.until(`location.pathname === "/queues" && ` + isLive)
}

// TestTail: what a job writes is shown while it runs, and what became of it in the end.
func TestTail(t *testing.T) {
	q, b := liveRig(t)
	goOn := filepath.Join(t.TempDir(), "go-on")
	enqueue(t, q, "talks", `printf '\033[32mfirst\033[0m line\n'; until [ -e `+goOn+` ]; do sleep 0.05; done; echo second line; echo '50% half' > "$QUEUECTL_PROGRESS"; trap 'exit 3' USR1; while :; do sleep 0.05; done`)
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- q.Work(ctx, fsq.WorkerOptions{Slots: 1}) }()
	defer func() {
		stop()
		if err := <-worked; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	b.visit("/jobs/talks")
	b.until(`document.querySelector("#log-stdout .f2")?.textContent === "first"`)
	eval[bool](b, `window.loadedOnce = true; window.line = document.querySelector("#log-stdout span"); true`)
	must(t, os.WriteFile(goOn, nil, 0o600))
	b.until(`document.getElementById("log-stdout").textContent.includes("second line")`)
	b.set("input[name=signal]", "usr1")
	b.press("Send")
	b.told(": sent a signal")
	b.until(`document.querySelector("[data-live=time]").textContent.includes("exit code 3") && document.querySelector("[data-live=jobstate]").textContent.includes("retrying")`)
	if !eval[bool](b, `document.querySelector("[data-live=signal]") === null && document.querySelector("[data-live=time] a").textContent === "output"`) {
		t.Error("it can still be sent a signal, or its output is not led to")
	}
	if !eval[bool](b, `window.loadedOnce && window.line.isConnected`) {
		t.Error("the page, or the first line, was made anew")
	}
	b.press("Hold")
	b.told(": held")
	b.until(`document.querySelector("[data-live=time]").textContent.includes("by dashboard 127.0.0.1")`)
}

// TestRetryOfAGroup: dead letters are retried by what they died of.
func TestRetryOfAGroup(t *testing.T) {
	f := newFixture(t, 300)
	b := browse(t, f)
	b.visit("/dead")
	b.until(isLive)
	label := eval[string](b, `document.querySelector(".group form").dataset.act`)
	count := strings.TrimPrefix(label, "Retry ")
	b.click(".group form button")
	b.confirm(label + "?")
	b.told(count + ": retried")
	b.until(`document.querySelector("[data-live=total]").textContent.startsWith("13 jobs")`)
}

// TestRefusalsShowNothing: who was not let in is told why, and sees nothing of the spool.
func TestRefusalsShowNothing(t *testing.T) {
	f := newFixture(t, 60)
	for name, c := range map[string]struct {
		opt    Options
		method string
		host   string
		header string
		status int
	}{
		"another name":   {Options{}, http.MethodGet, "evil.example", "", http.StatusMisdirectedRequest},
		"another origin": {Options{}, http.MethodPost, "localhost", "cross-site", http.StatusForbidden},
		"no token":       {Options{Tokens: []Token{{Secret: "0123456789abcdef0123"}}}, http.MethodGet, "localhost", "", http.StatusUnauthorized},
	} {
		c.opt.Dir = f.dir
		d, err := New(c.opt)
		must(t, err)
		t.Cleanup(d.Close)
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/jobs", http.NoBody)
		r.Host = c.host
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Site", c.header)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		page := w.Body.String()
		if w.Code != c.status || !strings.Contains(page, "<h1>") {
			t.Errorf("%s: %d %s", name, w.Code, page)
		}
		for _, part := range []string{f.dir, "<nav", "Dead", "encode", "pending"} {
			if strings.Contains(page, part) {
				t.Errorf("%s: it shows %s", name, part)
			}
		}
	}
}

// TestBelowABasePath: pages, events and actions work there.
func TestBelowABasePath(t *testing.T) {
	q, b := liveRig(t, func(o *Options) { o.BasePath = "/a/queue" })
	enqueue(t, q, "one", "true")
	b.visit("/jobs/one")
	b.until(isLive)
	b.press("Hold")
	b.told(": held")
	b.do(chromedp.KeyEvent("g"), chromedp.KeyEvent("j"))
	b.until(`location.pathname === "/a/queue/jobs" && document.querySelector("tbody").textContent.includes("held")`)
}

// TestSizeOfWhatIsEmbedded: all that the pages are made of stays small.
func TestSizeOfWhatIsEmbedded(t *testing.T) {
	total := 0
	for _, fs := range []interface {
		ReadDir(string) ([]os.DirEntry, error)
	}{staticFiles, templateFiles} {
		for _, dir := range []string{"static", "templates"} {
			entries, err := fs.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range entries {
				info, err := e.Info()
				must(t, err)
				total += int(info.Size())
			}
		}
	}
	if total == 0 || total > 100_000 {
		t.Errorf("%d bytes are embedded", total)
	}
	t.Logf("%d bytes are embedded", total)
}
