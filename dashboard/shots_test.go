package dashboard

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	shotsTo     = flag.String("shots", "", "take a screenshot of every page into this directory")
	updateShots = flag.Bool("update", false, "take the screenshots of the README anew")
	shotsSizes  = flag.String("shots-of", "0,300,100000", "how many jobs")
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
					b.shot(filepath.Join(*shotsTo, fmt.Sprintf("%s-%d-%d-%s.png", name, jobs, width, scheme)), name != "jobs")
				}
			}
		}
	}
}

// readmeShots are the screenshots of the README.
var readmeShots = []struct {
	name, path, scheme string
	width, height      int64
}{
	{"overview-light", "/", "light", 1280, 800},
	{"overview-dark", "/", "dark", 1280, 800},
	{"job", "", "light", 1280, 720},
	{"jobs-narrow", "/jobs?state=dead,retrying", "dark", 390, 780},
}

// maxShot is how large one of them may be, in bytes: whoever clones the repository has
// them all.
const maxShot = 60_000

// TestScreenshots takes them with -update, and else looks whether they are there.
func TestScreenshots(t *testing.T) {
	if *updateShots {
		f := newFixture(t, 300)
		b := browse(t, f)
		must(t, os.MkdirAll("screenshots", 0o755))
		for _, s := range readmeShots {
			if s.path == "" {
				s.path = jobPath("", f.anyDead)
			}
			b.size(s.width, s.height)
			b.scheme(s.scheme)
			b.visit(s.path)
			b.until(isLive)
			must(t, os.WriteFile(filepath.Join("screenshots", s.name+".png"), fewColours(t, b.shot("", false)), 0o644))
		}
	}
	for _, s := range readmeShots {
		data, err := os.ReadFile(filepath.Join("screenshots", s.name+".png"))
		must(t, err)
		cfg, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil || cfg.Width != int(s.width) || cfg.Height != int(s.height) || len(data) > maxShot {
			t.Errorf("%s: %d bytes, %d by %d, %v; -update takes it anew", s.name, len(data), cfg.Width, cfg.Height, err)
		}
	}
}

func distance(a, b color.RGBA) float64 {
	r, g, bl := float64(a.R)-float64(b.R), float64(a.G)-float64(b.G), float64(a.B)-float64(b.B)
	return r*r + g*g + bl*bl
}

// fewColours makes an image smaller by the colours that it has least of: each becomes the
// nearest of the others.
func fewColours(t *testing.T, data []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	bounds := img.Bounds()
	counts := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	all := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(uint32(a.R)<<16|uint32(a.G)<<8|uint32(a.B), uint32(b.R)<<16|uint32(b.G)<<8|uint32(b.B)))
	})
	// The next colour is always the one that is missed most: that there is much of, and
	// nothing like it.
	few := color.Palette{all[0]}
	far := make([]float64, len(all))
	for i, c := range all {
		far[i] = distance(c, all[0])
	}
	for len(few) < min(len(all), 64) {
		most, best := -1.0, 0
		for i, c := range all {
			if missed := far[i] * math.Sqrt(float64(counts[c])); missed > most {
				most, best = missed, i
			}
		}
		few = append(few, all[best])
		for i, c := range all {
			far[i] = min(far[i], distance(c, all[best]))
		}
	}
	nearest := map[color.RGBA]uint8{}
	out := image.NewPaletted(bounds, few)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(few.Index(c))
				nearest[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var b bytes.Buffer
	must(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out))
	return b.Bytes()
}
