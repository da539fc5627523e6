// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/viaduct-sdk/viaduct/internal/lab/edge/netfilter"
)

// kernel changes what the host's kernel does.
type kernel struct {
	host   Host
	device string
}

// run runs a command on the host and returns what it said.
func (k kernel) run(ctx context.Context, input string, name string, args ...string) ([]byte, error) {
	out, err := netfilter.Run(ctx, k.host, input, name, args...)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return out, nil
}

// addresses are those of the device, but for the loopback network's and those
// of the link alone.
func (k kernel) addresses(ctx context.Context) ([]netip.Addr, error) {
	out, err := k.run(ctx, "", "ip", "-json", "address", "show", "dev", k.device)
	if err != nil {
		return nil, err
	}
	var links []struct {
		Addresses []struct {
			Local netip.Addr `json:"local"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(out, &links); err != nil {
		return nil, fmt.Errorf("edge: addresses of %s: %w", k.device, err)
	}
	var all []netip.Addr
	for _, l := range links {
		for _, a := range l.Addresses {
			if !a.Local.IsLoopback() && !a.Local.IsLinkLocalUnicast() {
				all = append(all, a.Local)
			}
		}
	}
	return all, nil
}

// setAddresses gives the device exactly these addresses.
func (k kernel) setAddresses(ctx context.Context, want []netip.Addr) error {
	have, err := k.addresses(ctx)
	if err != nil {
		return err
	}
	var commands []string
	for _, a := range want {
		if !slices.Contains(have, a) {
			commands = append(commands, fmt.Sprintf("address add %s/%d dev %s", a, a.BitLen(), k.device))
		}
	}
	for _, a := range have {
		if !slices.Contains(want, a) {
			commands = append(commands, fmt.Sprintf("address del %s/%d dev %s", a, a.BitLen(), k.device))
		}
	}
	if len(commands) == 0 {
		return nil
	}
	_, err = k.run(ctx, strings.Join(commands, "\n")+"\n", "ip", "-batch", "-")
	return err
}

// forget has the kernel forget connections, so that their next packet is
// refused.
func (k kernel) forget(ctx context.Context, c cut) error {
	found, err := k.run(ctx, "", "conntrack", append([]string{"-L"}, c.arguments()...)...)
	if err != nil || len(bytes.TrimSpace(found)) == 0 {
		return err
	}
	if _, err := k.run(ctx, "", "conntrack", append([]string{"-D"}, c.arguments()...)...); err != nil {
		// It fails when there is nothing to delete: they may have ended meanwhile.
		left, failed := k.run(ctx, "", "conntrack", append([]string{"-L"}, c.arguments()...)...)
		if failed != nil || len(bytes.TrimSpace(left)) > 0 {
			return err
		}
	}
	return nil
}

// cut names connections of a server: those to a member, or all.
type cut struct {
	mark     uint32
	protocol string
	vip      netip.Addr
	to       netip.AddrPort // invalid: to all
}

func (c cut) arguments() []string {
	family := "ipv4"
	if c.vip.Is6() {
		family = "ipv6"
	}
	args := []string{
		"--family", family, "--proto", c.protocol, "--mark", strconv.FormatUint(uint64(c.mark), 10),
		"--orig-dst", c.vip.String(),
	}
	if !c.to.IsValid() {
		return args
	}
	args = append(args, "--reply-src", c.to.Addr().String())
	if port := c.to.Port(); port != 0 {
		args = append(args, "--reply-port-src", strconv.Itoa(int(port)))
	}
	return args
}

// cuts are the connections that a new state has no place for: to members that
// died or left, and of servers that left. Those to members that are switched off
// go on, as the API reference says.
func cuts(old, now state) []cut {
	var all []cut
	for _, s := range old.servers {
		c := cut{mark: s.mark, protocol: s.protocol, vip: s.vip}
		i := slices.IndexFunc(now.servers, func(n server) bool {
			return n.path == s.path && n.mark == s.mark && n.protocol == s.protocol && n.vip == s.vip
		})
		if i < 0 {
			all = append(all, c)
			continue
		}
		kept := now.servers[i].places()
		for _, c.to = range s.places() {
			if !slices.Contains(kept, c.to) {
				all = append(all, c)
			}
		}
	}
	return all
}

// places are where the server's connections may lead.
func (s server) places() []netip.AddrPort {
	return s.targets(slices.Concat(s.members, s.drained, s.off))
}

// counters reads the counters of servers from the kernel.
func (k kernel) counters(ctx context.Context, s state) (map[string]Counter, error) {
	counts, err := netfilter.Counters(ctx, k.host, table)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	all := map[string]Counter{}
	for _, server := range s.servers {
		traffic := counts[server.traffic()]
		all[server.path] = Counter{Connections: counts[server.name()].Packets, Packets: traffic.Packets, Bytes: traffic.Bytes}
	}
	return all, nil
}
