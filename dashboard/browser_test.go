package dashboard

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// The pages are tried in a real browser: one for the package, a tab with cookies of its own
// for each test.

// withBrowser ends the browser before it is looked whether something was left running.
type withBrowser struct{ m *testing.M }

func (w withBrowser) Run() int {
	code := w.m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	return code
}

var chromium struct {
	once    sync.Once
	browser context.Context
	stop    func()
	err     error
}

// tabTime bounds a test in the browser.
const tabTime = 3 * time.Minute

func startChromium() {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		chromium.err = fmt.Errorf("there is no chromium here; scripts/test installs it")
		return
	}
	dir, err := os.MkdirTemp("", "queuectl-chromium-")
	if err != nil {
		chromium.err = err
		return
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en-US"),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stopBrowser := chromedp.NewContext(alloc)
	chromium.browser, chromium.err = ctx, chromedp.Do(ctx) //nolint:fatcontext // it is that of the package
	chromium.stop = func() {
		_ = chromedp.Cancel(ctx)
		stopBrowser()
		stopAlloc()
		_ = os.RemoveAll(dir)
	}
}

// tab is a page of a dashboard in the browser.
type tab struct {
	t    *testing.T
	d    *Dashboard
	base string
	ctx  context.Context

	mu       sync.Mutex
	problems []string // what the console said: errors, and breaches of the policy
	expected []string // parts of those that are meant to be there
}

// browse serves a fixture and opens a tab. The test fails if the console has anything to
// say.
func browse(t *testing.T, f *fixture, opts ...func(*Options)) *tab {
	t.Helper()
	opt := Options{Dir: f.dir}
	for _, o := range opts {
		o(&opt)
	}
	d, err := New(opt)
	must(t, err)
	t.Cleanup(d.Close)
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	return newTab(t, d, srv.URL+opt.BasePath)
}

func newTab(t *testing.T, d *Dashboard, base string) *tab {
	t.Helper()
	chromium.once.Do(startChromium)
	if chromium.err != nil {
		t.Skip("skipped without a browser: ", chromium.err)
	}
	b := &tab{t: t, d: d, base: base}
	ctx, stop := chromedp.NewContext(chromium.browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	t.Cleanup(stop)
	must(t, chromedp.Do(ctx)) // its first run must have no bound
	var cancel func()
	b.ctx, cancel = context.WithTimeout(ctx, tabTime)
	t.Cleanup(cancel)
	command(b, log.Enable, cdp.Empty{})
	command(b, runtime.Enable, cdp.Empty{})
	command(b, network.Enable, network.EnableParams{})
	command(b, page.SetLifecycleEventsEnabled, page.SetLifecycleEventsEnabledParams{Enabled: true})
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			if !containsAny(p, b.expected) {
				t.Errorf("the console says: %s", p)
			}
		}
	})
	return b
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

func (b *tab) hear(ev any) {
	text := ""
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			text = ev.Entry.Text + " " + ev.Entry.URL
		}
	case *runtime.EventExceptionThrown:
		text = ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			text += " " + e.Description
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range ev.Args {
				text += string(a.Value) + a.Description
			}
		}
	}
	if text != "" {
		b.mu.Lock()
		b.problems = append(b.problems, text)
		b.mu.Unlock()
	}
}

// expect says that the console may say something.
func (b *tab) expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

// command calls the browser, whatever comes of it.
func command[P, R any](b *tab, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, cmd, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
}

func (b *tab) scheme(name string) {
	b.t.Helper()
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// eval is the value of an expression in the page.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// until waits until an expression in the page is true, be it on the page after this one.
func (b *tab) until(js string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+js+")"))
		if ok && err == nil {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("never true: %s: %v\n%s", js, err, eval[string](b, "document.body.innerText.slice(0, 3000)"))
		case <-tick.C:
		}
	}
}

func (b *tab) shot(path string, whole bool) []byte {
	b.t.Helper()
	png := command(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole}).Data
	if path != "" {
		must(b.t, os.WriteFile(path, png, 0o600))
	}
	return png
}
