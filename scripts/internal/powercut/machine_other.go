//go:build !linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

var errLinux = errors.New("this needs Linux")

func makeFS(string, string) error                          { return errLinux }
func isolate(context.Context, []string) *exec.Cmd          { return &exec.Cmd{Err: errLinux} }
func ownMounts() error                                     { return errLinux }
func makeStore(string) (string, error)                     { return "", errLinux }
func cut(string, string) error                             { return errLinux }
func (m machine) start(context.Context) (*exec.Cmd, error) { return nil, errLinux }
func bootMachine(string, string, string) (string, error)   { return "", errLinux }
func shutDown(string) error                                { return errLinux }
func released(string) error                                { return errLinux }
func tool(string, ...string) error                         { return errLinux }
func syncDisk(string) error                                { return errLinux }

func writeOut(f *os.File) error { return f.Sync() }
