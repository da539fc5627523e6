// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

// Package proc starts processes that our own end, or Ctrl-C, must not miss or
// must not reach.
package proc

import "syscall"

// OwnGroup puts a process into a process group of its own, out of Ctrl-C's
// reach. This kernel can't signal it when we are gone.
func OwnGroup(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
