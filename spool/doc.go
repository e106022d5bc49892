// Package spool is a job queue's directory: names, bytes and transitions.
//
// A job is a file that is written once and from then on only renamed. Its
// directory is its state; its name says when it may run and how often it has:
//
//	put ─▶ pending/N ── Lease.Claim ─▶ processing/WORKER/N' ── Claim.Done ─▶ done/DAY/HOUR/N'
//	          ▲                              │      │
//	          ├──── Claim.Retry, Release ────┘      └──────── Claim.Bury ──▶ dead/N'
//	          └──── Reap: the worker is dead ┘
//
// Each arrow is one rename(2): atomic, and a compare-and-swap, because it fails
// when the name is not there any more. FORMAT.md beside this file is the normative
// description of the format; package fsq is the queue built on this one.
//
// The package knows nothing of what is in a job and runs nothing.
package spool
