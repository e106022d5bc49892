package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/queuectl/queuectl/fsq"
)

func newVersion(a *app) *command {
	return &command{
		name:  "version",
		short: "Print the version",
		examples: []example{
			{"The version and what it was built with", "queuectl version"},
			{"The same for a program", "queuectl version --json"},
		},
		queues:       sharedOut, // whatever QUEUECTL_QUEUE says
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
	v := versionInfo{Version: fsq.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
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
