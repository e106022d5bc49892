package dashboard

import (
	"testing"
)

// pagesOf are all pages of a fixture, by name.
func pagesOf(f *fixture) map[string]string {
	pages := map[string]string{
		"overview": "/", "jobs": "/jobs", "dead": "/dead", "queues": "/queues", "workers": "/workers",
		"day": "/?span=day", "nothing": "/jobs?command=nothing-has-this", "wrong": "/jobs?state=nonsense", "absent": "/jobs/no-such-job",
	}
	if f.n > 0 {
		pages["job"], pages["hostile"], pages["running"] = jobPath("", f.anyDead), jobPath("", hostileID), jobPath("", "encode-run-0")
	}
	return pages
}

// TestNothingIsTooWide: no page has to be scrolled sideways.
func TestNothingIsTooWide(t *testing.T) {
	for _, jobs := range []int{0, 300} {
		f := newFixture(t, jobs)
		b := browse(t, f)
		b.expect("400 (Bad Request)")
		b.expect("404 (Not Found)")
		for name, path := range pagesOf(f) {
			b.visit(path)
			for _, width := range []int64{360, 768, 1024, 1920} {
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
