package spool

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	modelSections = regexp.MustCompile(`section (\d+)(?: \(([^)]*)\))?`)
	modelCode     = regexp.MustCompile(`((?:spool|fsq)/[a-z_]+\.go) \(([^)]*)\)`)
)

// What a model says that it models must be there: sections and transitions of FORMAT.md,
// and functions of the code. It does not show that the model follows them; but who moves
// or renames one is led to the model.
func TestModelsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("FORMAT.md")
	mustDo(t, err)
	format := string(data)
	models, err := filepath.Glob("../scripts/model/*.pml")
	mustDo(t, err)
	if len(models) == 0 {
		t.Fatal("no model was found")
	}
	for _, model := range models {
		data, err := os.ReadFile(model)
		mustDo(t, err)
		header, _, _ := strings.Cut(string(data), "*/")
		sections, code := modelSections.FindAllStringSubmatch(header, -1), modelCode.FindAllStringSubmatch(header, -1)
		if len(sections) == 0 || len(code) == 0 {
			t.Errorf("%s does not say what it models", model)
		}
		for _, m := range sections {
			_, section, found := strings.Cut(format, "\n## "+m[1]+". ")
			section, _, _ = strings.Cut(section, "\n## ")
			if !found {
				t.Errorf("%s models section %s, which FORMAT.md has not", model, m[1])
			}
			for _, verb := range strings.Split(m[2], ", ") {
				if verb != "" && !strings.Contains(section, "**"+verb+".**") {
					t.Errorf("%s models %q, which is not in section %s of FORMAT.md", model, verb, m[1])
				}
			}
		}
		for _, m := range code {
			source, err := os.ReadFile("../" + m[1])
			if err != nil {
				t.Errorf("%s models a file that is not there: %v", model, err)
				continue
			}
			for _, f := range strings.Split(m[2], ", ") {
				if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + f + `\(`).Match(source) {
					t.Errorf("%s models %s of %s, which is not there", model, f, m[1])
				}
			}
		}
	}
}
