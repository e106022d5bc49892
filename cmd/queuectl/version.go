package main

import (
	"context"
	"runtime"
	"runtime/debug"
)

// fallbackVersion is what a build without module information says.
const fallbackVersion = "0.1.0"

func newVersion(a *app) *command {
	return &command{
		name:  "version",
		short: "Print the version",
		examples: []example{
			{"The version and what it was built with", "queuectl version"},
			{"The same for a program", "queuectl version --json"},
		},
		ignoreConfig: true,
		run:          func(context.Context, []string) error { return a.version() },
	}
}

type versionInfo struct {
	Version  string  `json:"version"`
	Revision *string `json:"revision"`
	Go       string  `json:"go"`
	Platform string  `json:"platform"`
}

func buildVersion() versionInfo {
	v := versionInfo{Version: fallbackVersion, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = &s.Value
		}
	}
	return v
}

func (a *app) version() error {
	v := buildVersion()
	if a.json {
		return a.out.json(v)
	}
	a.out.printf("queuectl %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	return nil
}
