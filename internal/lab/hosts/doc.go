// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package hosts makes machines of network namespaces, for real packets between
// real processes: pods, nodes, routers. It needs Linux and root.
//
// All of it lives in namespaces of one process, which [Isolate] starts and which
// calls [Enter]. Nothing is made in the machine's own network namespace, and
// nothing is left of it when that process is gone, however it went: it is the
// first process of its PID namespace, so that the kernel kills all others with
// it, and then removes the network namespaces with their links and rules, and
// the file system that everything was written to.
//
//	cmd := exec.CommandContext(ctx, os.Args[0]) // calls Enter
//	hosts.Isolate(cmd)
//
// There are no bridges: each host has a link of its own to a router, and an
// address that stands alone, so that neighbours reach each other through the
// router too.
package hosts
