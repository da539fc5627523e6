// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/viaduct-sdk/viaduct"
)

// remove takes everything away in NSX that belongs to the namespace or the
// VirtualNetwork with this UID, and its port groups. Nothing is made for it any
// more.
func (n *networks) remove(ctx context.Context, uid string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone[uid] = true
	for _, net := range n.byUID {
		if err := n.removePortGroups(ctx, net, uid); err != nil {
			return err
		}
	}
	if err := n.removeObjects(uid); err != nil {
		return err
	}
	for _, net := range n.byUID {
		if !net.within(uid) {
			continue
		}
		for _, s := range net.subnets {
			n.free.release(s.prefix)
		}
		n.egress.release(net.uid)
		delete(n.byUID, net.uid)
	}
	n.egress.release(uid)
	return nil
}

func (n *networks) removePortGroups(ctx context.Context, net *network, uid string) error {
	if n.cfg.VCenter == nil || !net.within(uid) {
		return nil
	}
	for _, s := range net.subnets {
		err := n.cfg.VCenter.RemoveSegmentPortGroup(ctx, s.logicalSwitch)
		if err != nil && !errors.Is(err, viaduct.ErrNotFound) {
			return fmt.Errorf("supervisorsim: port group of network %q: %w", net.name(), err)
		}
	}
	return nil
}

// removeObjects removes the objects in the order in which NSX lets
// them go: referrers first, children before their parents.
func (n *networks) removeObjects(uid string) error {
	order := []string{
		policiesPath, groupsPath, virtualServersPath, poolsPath, lbServicesPath,
		segmentsPath, tier1sPath, ipPoolPath(n.pool) + "/ip-allocations/",
	}
	for _, prefix := range order {
		objects, err := n.m.list(prefix)
		if err != nil {
			return err
		}
		slices.SortStableFunc(objects, func(a, b owned) int {
			return strings.Count(b.path, "/") - strings.Count(a.path, "/")
		})
		for _, o := range objects {
			if !networkOfTags(o.tags).within(uid) {
				continue
			}
			if err := n.m.nsx.Remove(o.path); err != nil {
				return fmt.Errorf("supervisorsim: remove %s: %w", o.path, err)
			}
		}
	}
	return nil
}
