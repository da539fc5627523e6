// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// Host is the machine that forwards: a network namespace with nft, ip and
// conntrack, in which the kernel forwards packets.
type Host interface {
	// Command returns a command that runs on the host.
	Command(ctx context.Context, name string, args ...string) *exec.Cmd
	// Dial connects from the host.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Config describes an edge. NSX, Host and Internal are required.
type Config struct {
	// NSX says what to forward.
	NSX *nsxsim.Server
	// Host forwards.
	Host Host
	// Device is the host's interface that gets the addresses of virtual servers
	// and those that members see, and loses all others but those of the
	// loopback network: lo.
	Device string
	// Internal is the address from which a load balancer on a tier-1 gateway
	// reaches its members, which is what NCP annotates as
	// ncp/internal_ip_for_policy. A virtual server that needs one that is
	// not valid does not forward, and it is asked for again soon; one that is
	// valid is not asked for again.
	Internal func(tier1 string, vip netip.Addr) netip.Addr
	// Monitor watches the members of pools that have no active monitor and
	// that TCP is balanced to. The zero Monitor leaves them alone.
	Monitor Monitor
	// Resync is how often everything is looked at again although nothing was
	// seen to change: 5 s.
	Resync time.Duration
	// Logger hears of what failed and is tried again, and of virtual servers
	// that can't be forwarded. Nil: nothing is logged.
	Logger *slog.Logger
	// Switches are the answers to what is not known of the real thing.
	Switches Switches
}

// Switches choose between behaviours of which no public source says which is
// NSX's.
type Switches struct {
	// KeepConnections leaves open connections to a member alone that is found
	// dead or is taken out of its pool, and those of a virtual server that is
	// removed, instead of forgetting them.
	KeepConnections bool
	// Silent drops what arrives for a virtual server without a member that
	// could take it, instead of refusing it.
	Silent bool
}

// Monitor says how members are watched. An Interval of zero does not watch.
type Monitor struct {
	Interval, Timeout time.Duration
	// Fall and Rise are after how many failures a member is down, and after
	// how many successes it is up again.
	Fall, Rise int
}

// Counter is what a virtual server has forwarded since it was first rendered.
type Counter struct {
	// Connections counts the first packets of connections.
	Connections uint64
	// Packets and Bytes count those that passed through, of both directions.
	Packets, Bytes uint64
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.NSX == nil:
		return c, fmt.Errorf("edge: Config.NSX is nil: %w", viaduct.ErrInvalid)
	case c.Host == nil:
		return c, fmt.Errorf("edge: Config.Host is nil: %w", viaduct.ErrInvalid)
	case c.Internal == nil:
		return c, fmt.Errorf("edge: Config.Internal is nil: %w", viaduct.ErrInvalid)
	}
	c.Device = cmp.Or(c.Device, "lo")
	c.Resync = cmp.Or(c.Resync, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
