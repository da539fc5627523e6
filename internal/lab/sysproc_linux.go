// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import "syscall"

// ownGroup puts a process into a process group of its own, out of Ctrl-C's
// reach, and has the kernel send it a signal when the thread that started it
// ends.
func ownGroup(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
