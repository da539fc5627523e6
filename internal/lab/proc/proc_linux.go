// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package proc starts processes that our own end, or Ctrl-C, must not miss or
// must not reach.
package proc

import "syscall"

// OwnGroup puts a process into a process group of its own, out of Ctrl-C's
// reach, and has the kernel send it a signal when the thread that started it
// ends.
func OwnGroup(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
