// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package dfw

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Host is a machine with an interface that NSX guards: a network namespace with
// nft.
type Host interface {
	// Command returns a command that runs on the host.
	Command(ctx context.Context, name string, args ...string) *exec.Cmd
}

// Config describes a firewall. NSX is required.
type Config struct {
	// NSX has the rules.
	NSX *nsxsim.Server
	// Resync is how often the rules are read again although nothing was seen to
	// change: 5 s.
	Resync time.Duration
	// Logger hears of what failed and is tried again, and of what rules can't
	// be expressed. Nil: nothing is logged.
	Logger *slog.Logger
	// Switches are the answers to what is not known of the real thing.
	Switches Switches
}

// Switches choose between behaviours of which no public source says which is
// NSX's.
type Switches struct {
	// Revalidate judges every packet of whoever began a connection by the
	// present rules, so that a rule that would not let an open connection begin
	// ends it. Otherwise open connections stay.
	Revalidate bool
}

// Interface is an interface of a host, where the firewall stands. Name, Host,
// Device and Addresses are required.
type Interface struct {
	// Name is what the interface is called in logs and by [Firewall.Counters].
	Name string
	Host Host
	// Device is the interface's name on the host. No other one of the host is
	// guarded.
	Device string
	// Addresses are those that may be behind the interface, after translation
	// by the host. What comes from others, or goes to others, is dropped.
	Addresses []netip.Addr
	// ID is the path of the segment port, and Within are those of what it is
	// in, as [firewall.Interface] has them. When both are empty, NSX is asked
	// for the segment with the first address and its port.
	ID     string
	Within []string
}

// Counters is what the firewall did at an interface with the first packets of
// connections, since the interface was attached.
type Counters struct {
	Allowed, Dropped, Rejected uint64
	// Foreign are packets from or to addresses that are not the interface's.
	Foreign uint64
	// Rules are how many packets each rule decided, by its path. Rules that
	// decide nothing at the interface are not listed.
	Rules map[string]uint64
}

func (c Config) withDefaults() (Config, error) {
	if c.NSX == nil {
		return c, fmt.Errorf("dfw: Config.NSX is nil: %w", viaduct.ErrInvalid)
	}
	c.Resync = cmp.Or(c.Resync, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func (i Interface) check() error {
	var lacks string
	switch {
	case i.Name == "":
		lacks = "name"
	case i.Host == nil:
		lacks = "host"
	case i.Device == "":
		lacks = "device"
	case len(i.Addresses) == 0:
		lacks = "address"
	case slices.ContainsFunc(i.Addresses, func(a netip.Addr) bool { return !a.IsValid() || a.Zone() != "" || a.Is4In6() }):
		lacks = "valid address"
	default:
		return nil
	}
	return fmt.Errorf("dfw: interface %q without %s: %w", i.Name, lacks, viaduct.ErrInvalid)
}

// table is the name of the nftables table that holds the interface's rules.
func (i Interface) table() string {
	return "viaduct_dfw_" + regexp.MustCompile(`[^a-zA-Z0-9]`).ReplaceAllString(i.Device, "_")
}
