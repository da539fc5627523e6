// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package lab

import "syscall"

// ownGroup puts a process into a process group of its own, out of Ctrl-C's
// reach. This kernel can't signal it when we are gone.
func ownGroup(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
