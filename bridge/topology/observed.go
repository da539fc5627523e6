// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/tkc"
)

// errTimeout ends a source that does not answer.
var errTimeout = errors.New("no answer in time")

// observed is what the sources said. Observing does I/O and decides nothing;
// what belongs together is join's to find out.
type observed struct {
	vcenter  *vcenterSeen // nil: not asked
	nsx      *nsxSeen     // nil: not asked
	clusters []clusterSeen

	tkClusters []tkc.Cluster
	tkHoles    *holes
}

// supervisor returns the Supervisor; nil when it was not asked.
func (o *observed) supervisor() *clusterSeen {
	if len(o.clusters) > 0 && o.clusters[0].system == SystemSupervisor {
		return &o.clusters[0]
	}
	return nil
}

// holes notes what could not be read of one source. Its methods are safe for
// concurrent use.
type holes struct {
	system  System
	cluster string

	mu    sync.Mutex
	found []Hole
}

// note records the error of reading objects, if it is one.
func (h *holes) note(ctx context.Context, object string, err error) {
	if err == nil {
		return
	}
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
		err = cause
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = append(h.found, Hole{
		System: h.system, Cluster: h.cluster, Object: object, Reason: reasonOf(err), Message: err.Error(),
	})
}

// has reports whether the objects could be read.
func (h *holes) has(object string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.ContainsFunc(h.found, func(hole Hole) bool {
		return hole.Object == object || strings.HasPrefix(hole.Object, object+" of namespace ")
	})
}

// reasonOf says in one or two words what an error means, whichever server it is
// of.
func reasonOf(err error) string {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(errTimeout):
		return "no answer"
	case is(viaduct.ErrForbidden), apierrors.IsForbidden(err):
		return "forbidden"
	case is(viaduct.ErrUnauthenticated), apierrors.IsUnauthorized(err):
		return "login refused"
	case is(viaduct.ErrUnsupported), is(viaduct.ErrNotFound), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return "not served"
	case is(viaduct.ErrRateLimited), apierrors.IsTooManyRequests(err):
		return "too many requests"
	}
	var status apierrors.APIStatus
	if is(viaduct.ErrUnavailable) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || !errors.As(err, &status) {
		return "not reachable"
	}
	return "failed"
}
