// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"errors"
	"net/netip"
)

// takePod returns the address that a pod holds, or gives it one of its
// namespace's subnets; want is the address that the pod has already, if any.
// It reports whether the network had to grow for it, so that ensure must follow.
func (n *networks) takePod(uid, pod string, want netip.Addr) (addr netip.Addr, grew bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	net, err := n.get(uid)
	if err != nil {
		return netip.Addr{}, false, err
	}
	for {
		for _, s := range net.subnets {
			if want.IsValid() && !s.pods.contains(want) {
				continue
			}
			addr, err := s.pods.take(pod, want)
			if !errors.Is(err, errExhausted) {
				return addr, grew, err
			}
		}
		if want.IsValid() {
			return want, grew, errOutside
		}
		if err := n.grow(net); err != nil {
			return netip.Addr{}, grew, err
		}
		grew = true
	}
}

// releasePod gives the pod's address back.
func (n *networks) releasePod(pod string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, net := range n.byUID {
		for _, s := range net.subnets {
			s.pods.release(pod)
		}
	}
}
