// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/viaduct-sdk/viaduct"
)

// WithConsumers names the clusters that the document is for: [Import] into any
// other is refused with [viaduct.ErrForbidden], by the name given to
// [NewCluster]. Without it the document is for whoever has it. Given several
// times, it adds up.
//
// It keeps people from mistakes, and nobody from the network: who must not
// connect is kept out by the firewall.
func WithConsumers(clusters ...string) ExportOption {
	return exportOption(func(o *exportOptions) { o.consumers = append(o.consumers, clusters...) })
}

// checkConsumers says which of the names can be no cluster's.
func checkConsumers(clusters []string) error {
	for _, name := range clusters {
		if msgs := validation.IsDNS1123Label(name); len(msgs) > 0 {
			return fmt.Errorf("consumer %q is not the name of a cluster: %s: %w", name, msgs[0], viaduct.ErrInvalid)
		}
	}
	return nil
}

// sortedConsumers are the names, each once.
func sortedConsumers(clusters []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(clusters)))
}

// isFor refuses clusters that the document is not for.
func (e *Exported) isFor(cluster string) error {
	if len(e.Consumers) == 0 || slices.Contains(e.Consumers, cluster) {
		return nil
	}
	return fmt.Errorf("the document is for %s: %w", strings.Join(e.Consumers, ", "), viaduct.ErrForbidden)
}
