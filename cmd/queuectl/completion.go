package main

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// The scripts know nothing of commands and flags: they hand the words to queuectl
// __complete and what it answers to the shell.
//
//go:embed completion/queuectl.bash completion/queuectl.zsh completion/queuectl.fish
var completionScripts embed.FS

var shells = []string{"bash", "zsh", "fish"}

func newCompletion(a *app) *command {
	return &command{
		name:  "completion",
		args:  "SHELL",
		least: 1,
		most:  1,
		short: "Print the completion script of a shell: bash, zsh or fish",
		long: `With it the Tab key completes commands and flags, and what is there: ids of the jobs
that the command is for, workers, states, queues and settings. The script needs no
renewal when queuectl is upgraded.

bash: into ~/.bashrc, source <(queuectl completion bash), or once for all users as root,
queuectl completion bash >/usr/share/bash-completion/completions/queuectl

zsh: into ~/.zshrc behind compinit, source <(queuectl completion zsh)

fish: once, queuectl completion fish >~/.config/fish/completions/queuectl.fish`,
		also: []string{"completions", "complete"},
		examples: []example{
			{"In this shell", "source <(queuectl completion bash)"},
			{"In this fish", "queuectl completion fish | source"},
		},
		ignoreConfig: true,
		run:          func(_ context.Context, args []string) error { return a.completion(args[0]) },
	}
}

func (a *app) completion(shell string) error {
	script, err := completionScripts.ReadFile("completion/queuectl." + shell)
	if err != nil || strings.ContainsAny(shell, "/.") {
		e := &usageError{
			problem: fmt.Sprintf("there is no completion for %q", shell),
			hint:    "the shells are " + strings.Join(shells, ", "),
		}
		if near := fsq.Nearest(shell, shells); near != "" {
			e.problem += fmt.Sprintf("; did you mean %q?", near)
		}
		return e
	}
	if a.json {
		return a.out.json(struct {
			Shell  string `json:"shell"`
			Script string `json:"script"`
		}{shell, string(script)})
	}
	a.out.printf("%s", script)
	return nil
}
