// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// port is a TCP port of an address that stays ours. It is a socket
// that is bound and does not listen: nobody else is given the port, while a
// server that sets SO_REUSEPORT, as kube-apiserver does with
// --permit-port-sharing, can listen there, be killed, and listen there again.
type port struct {
	number int
	free   func()
}

func holdPort(address netip.Addr) (port, error) {
	// As the standard library does where the kernel can't set the flag at
	// once: no child may be forked between the two calls.
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return port{}, fmt.Errorf("lab: hold a port: %w", err)
	}
	number, err := bind(fd, address)
	if err != nil {
		_ = unix.Close(fd) // Nothing was bound; the first error matters.
		return port{}, fmt.Errorf("lab: hold a port: %w", err)
	}
	return port{number: number, free: sync.OnceFunc(func() {
		_ = unix.Close(fd) // A socket that was never connected has nothing to lose.
	})}, nil
}

func bind(fd int, address netip.Addr) (int, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: address.As4()}); err != nil {
		return 0, err
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	bound, ok := addr.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("bound to %T, not to an IPv4 address", addr)
	}
	return bound.Port, nil
}
