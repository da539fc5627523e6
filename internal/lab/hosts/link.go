// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package hosts

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// Link is a link between a host and its router.
type Link struct {
	Host *Host
	// Interface is the name of the host's end: eth0 when it is empty.
	Interface string
	// Address is the host's.
	Address netip.Addr

	Router *Host
	// RouterInterface is the name of the router's end. It is drawn up when it
	// is empty.
	RouterInterface string
	// Gateway is the router's address on this link. Other links of the router
	// may have the same.
	Gateway netip.Addr

	// Routes are what the host sends this way, beside what is for the gateway;
	// everything when it is nil.
	Routes []netip.Prefix
}

// Link makes a link. The router gets a route to the host's address.
func (w *World) Link(ctx context.Context, l Link) error {
	w.mu.Lock()
	w.links++
	number := w.links
	w.mu.Unlock()
	near := cmp.Or(l.Interface, "eth0")
	far := cmp.Or(l.RouterInterface, fmt.Sprintf("link%d", number))
	passing := fmt.Sprintf("new%d", number) // its name until it has arrived

	routes := []string{"default"}
	if l.Routes != nil {
		routes = routes[:0]
		for _, p := range l.Routes {
			routes = append(routes, p.String())
		}
	}
	steps := []struct {
		on    *Host
		batch []string
	}{
		{l.Router, []string{
			"link add " + far + " type veth peer name " + passing,
			"link set " + passing + " netns " + l.Host.name,
			"addr add " + l.Gateway.String() + "/32 dev " + far,
			"link set " + far + " up",
			"route add " + l.Address.String() + "/32 dev " + far,
		}},
		{l.Host, []string{
			"link set " + passing + " name " + near,
			"addr add " + l.Address.String() + "/32 dev " + near,
			"link set " + near + " up",
			"route add " + l.Gateway.String() + "/32 dev " + near,
		}},
	}
	for _, to := range routes {
		steps[1].batch = append(steps[1].batch, "route add "+to+" via "+l.Gateway.String()+" dev "+near)
	}
	for _, s := range steps {
		if err := s.on.IP(ctx, s.batch...); err != nil {
			return fmt.Errorf("hosts: link %s to %s: %w", l.Host.name, l.Router.name, err)
		}
	}
	return nil
}

// IP has ip(8) carry out commands on the host, such as "route add 192.0.2.0/24
// via 192.0.2.1". It stops at the first that fails.
func (h *Host) IP(ctx context.Context, commands ...string) error {
	args := []string{"-batch", "-"}
	if h != h.world.management {
		args = append([]string{"-netns", h.name}, args...)
	}
	if err := command(exec.CommandContext(ctx, "ip", args...), strings.Join(commands, "\n")); err != nil {
		return fmt.Errorf("hosts: %s: %w", h.name, err)
	}
	return nil
}
