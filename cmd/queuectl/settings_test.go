package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A config.json that others may have written does not decide whom a worker trusts; flag
// and environment do, and all else in it holds.
func TestTrustGroupOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		mode  os.FileMode
		args  []string
		trust bool
	}{
		"the owner's alone":                {0o640, nil, true},
		"the group may write it":           {0o660, nil, false},
		"the group may write it, and flag": {0o660, []string{"--trust-group"}, true},
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := errors.Join(os.WriteFile(path, []byte(`{"trust-group": true, "max-retries": 7}`), 0o600), os.Chmod(path, test.mode)); err != nil {
			t.Fatal(err)
		}
		s := newSettings()
		if err := s.parse(test.args, configFile{path, "spool", ""}); err != nil {
			t.Fatal(err)
		}
		if s.cfg.TrustGroup != test.trust || s.cfg.MaxRetries != 7 || len(s.untrusted) == 1 != (test.mode == 0o660 && test.args == nil) {
			t.Errorf("%s: trusted: %t, max-retries %d, ignored: %q", name, s.cfg.TrustGroup, s.cfg.MaxRetries, s.untrusted)
		}
	}
}
