package dashboard

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	shotsTo    = flag.String("shots", "", "take a screenshot of every page into this directory")
	shotsSizes = flag.String("shots-of", "0,300,100000", "how many jobs")
)

// TestShots shows every page to whoever asks for it with -shots DIR.
func TestShots(t *testing.T) {
	if *shotsTo == "" {
		t.Skip("skipped: screenshots are for people, and taken with -shots DIR")
	}
	must(t, os.MkdirAll(*shotsTo, 0o755))
	for _, jobs := range []int{0, 300, 100_000} {
		if !slices.Contains(strings.Split(*shotsSizes, ","), strconv.Itoa(jobs)) {
			continue
		}
		f := newFixture(t, jobs)
		b := browse(t, f)
		pages := map[string]string{"overview": "/", "jobs": "/jobs", "dead": "/dead", "queues": "/queues", "workers": "/workers", "day": "/?span=day"}
		if jobs > 0 {
			pages["job"], pages["hostile"], pages["run"] = jobPath("", f.anyDead), jobPath("", hostileID), jobPath("", "encode-run-0")
			pages["failed"] = "/jobs?state=dead&error=exit"
		}
		for name, path := range pages {
			for _, width := range []int64{390, 1440} {
				for _, scheme := range []string{"light", "dark"} {
					b.size(width, 900)
					b.scheme(scheme)
					b.visit(path)
					b.until(`document.getElementById("live")?.dataset.s === "live"`)
					b.shot(filepath.Join(*shotsTo, fmt.Sprintf("%s-%d-%d-%s.png", name, jobs, width, scheme)), true)
				}
			}
		}
	}
}
