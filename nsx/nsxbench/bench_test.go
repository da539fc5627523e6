// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package nsxbench measures package nsx against VMware's SDK and against the
// least that Go's standard library takes. It holds benchmarks only: the SDK's
// models are so large that nothing else should compile them.
//
//	make bench-nsx
package nsxbench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/vsphere-automation-sdk-go/runtime/core"
	sdklog "github.com/vmware/vsphere-automation-sdk-go/runtime/log"
	sdkclient "github.com/vmware/vsphere-automation-sdk-go/runtime/protocol/client"
	"github.com/vmware/vsphere-automation-sdk-go/runtime/security"
	"github.com/vmware/vsphere-automation-sdk-go/services/nsxt/infra"

	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// manager is a simulated manager with n virtual servers as NCP makes them.
func manager(tb testing.TB, n int) *nsxsim.Server {
	tb.Helper()
	srv := nsxsim.NewServer()
	tb.Cleanup(srv.Close)
	put := func(path string, object map[string]any) {
		if err := srv.Put(path, object); err != nil {
			tb.Fatal(err)
		}
	}
	tags := []map[string]string{
		{"scope": "ncp/cluster", "tag": "domain-c8:2f4a8a3e-3a52-4a0b-9d3c-3f0f1d0f6a11"},
		{"scope": "ncp/version", "tag": "1.2.0"},
		{"scope": "ncp/project_uid", "tag": "a41909b9-ea00-4d86-b3f3-82594e15eb56"},
	}
	put("/infra/lb-services/lb", map[string]any{"display_name": "lb", "size": "SMALL"})
	put("/infra/lb-pools/pool", map[string]any{"display_name": "pool"})
	for i := range n {
		put(fmt.Sprintf("/infra/lb-virtual-servers/vs-%06d", i), map[string]any{
			"display_name": fmt.Sprintf("domain-c8-acme-data-service-%d", i), "description": "made by NCP",
			"ip_address": fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), "ports": []string{"5432"},
			"default_pool_member_ports": []string{"5432"}, "enabled": true,
			"pool_path": "/infra/lb-pools/pool", "lb_service_path": "/infra/lb-services/lb",
			"application_profile_path": "/infra/lb-app-profiles/default-tcp-lb-app-profile",
			"tags":                     append(tags[:3:3], map[string]string{"scope": "ncp/service_uid", "tag": fmt.Sprintf("7c1e2a44-0000-4000-8000-%012d", i)}),
		})
	}
	return srv
}

// replay is a transport that asks the simulated manager once for each page and
// repeats the answer from then on: what is measured is the client, not the
// simulator beside it in the same process. Logins pass through.
type replay struct {
	next http.RoundTripper

	mu    sync.Mutex
	pages map[string]page
}

type page struct {
	header http.Header
	body   []byte
}

func (r *replay) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return r.next.RoundTrip(req)
	}
	key := req.URL.Path + "?" + req.URL.RawQuery
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.pages[key]
	if !ok {
		res, err := r.next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = res.Body.Close() }()
		if p.body, err = io.ReadAll(res.Body); err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", res.Status, p.body)
		}
		p.header = res.Header
		r.pages[key] = p
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.header, Body: io.NopCloser(bytes.NewReader(p.body)), ContentLength: int64(len(p.body)), Request: req,
	}, nil
}

func replaying(srv *nsxsim.Server) *http.Client {
	return &http.Client{Transport: &replay{next: srv.Client().Transport, pages: map[string]page{}}}
}

// lister lists all virtual servers and returns how many there are and how long
// their addresses are together, so that nothing is left out unread.
type lister func(ctx context.Context) (count, bytes int, err error)

func viaduct(tb testing.TB, srv *nsxsim.Server, hc *http.Client) lister {
	tb.Helper()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(hc), nsx.WithLimit(nsx.Limit{}))
	if err != nil {
		tb.Fatal(err)
	}
	return func(ctx context.Context) (count, bytes int, err error) {
		for vs, err := range client.VirtualServers().All(ctx, nsx.ListOptions{}) {
			if err != nil {
				return 0, 0, err
			}
			count++
			bytes += len(vs.IPAddress)
		}
		return count, bytes, nil
	}
}

func vmware(srv *nsxsim.Server, hc *http.Client) lister {
	user := core.NewSecurityContextImpl()
	user.SetProperty(security.AUTHENTICATION_SCHEME_ID, security.USER_PASSWORD_SCHEME_ID)
	user.SetProperty(security.USER_KEY, nsxsim.DefaultUser)
	user.SetProperty(security.PASSWORD_KEY, nsxsim.DefaultPassword)
	connector := sdkclient.NewConnector(srv.URL(), sdkclient.UsingRest(nil), sdkclient.WithHttpClient(hc), sdkclient.WithSecurityContext(user))
	client := infra.NewLbVirtualServersClient(connector)
	return func(context.Context) (count, bytes int, err error) {
		var cursor *string
		for {
			list, err := client.List(cursor, nil, nil, new(int64(1000)), nil, new("id"))
			if err != nil {
				return 0, 0, err
			}
			for _, vs := range list.Results {
				count++
				bytes += len(*vs.IpAddress)
			}
			if cursor = list.Cursor; cursor == nil || *cursor == "" {
				return count, bytes, nil
			}
		}
	}
}

func floor(srv *nsxsim.Server, hc *http.Client) lister {
	return func(ctx context.Context) (count, bytes int, err error) {
		var list struct {
			Results []nsx.VirtualServer `json:"results"`
			Cursor  string              `json:"cursor"`
		}
		for {
			query := url.Values{"page_size": {"1000"}, "sort_by": {"id"}}
			if list.Cursor != "" {
				query.Set("cursor", list.Cursor)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL()+"/policy/api/v1/infra/lb-virtual-servers?"+query.Encode(), http.NoBody)
			if err != nil {
				return 0, 0, err
			}
			req.SetBasicAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword)
			res, err := hc.Do(req)
			if err != nil {
				return 0, 0, err
			}
			list.Results, list.Cursor = nil, ""
			data, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil {
				return 0, 0, err
			}
			if err := json.Unmarshal(data, &list); err != nil { // faster than a Decoder
				return 0, 0, err
			}
			for _, vs := range list.Results {
				count++
				bytes += len(vs.IPAddress)
			}
			if list.Cursor == "" {
				return count, bytes, nil
			}
		}
	}
}

// cost is what one list of all virtual servers takes.
type cost struct{ time, bytes, allocs float64 }

// BenchmarkList lists 10,000 virtual servers three ways and prints what each
// takes in terms of the others.
func BenchmarkList(b *testing.B) {
	const n = 10_000
	sdklog.SetLogger(quiet{})
	srv := manager(b, n)
	ways := []struct {
		name string
		list lister
	}{
		{"viaduct", viaduct(b, srv, replaying(srv))},
		{"vmware-sdk", vmware(srv, replaying(srv))},
		{"floor", floor(srv, replaying(srv))},
	}
	costs := map[string]cost{}
	wantBytes := 0
	for _, way := range ways {
		// The first list fills the replay and makes the session.
		count, size, err := way.list(b.Context())
		if wantBytes == 0 {
			wantBytes = size
		}
		if err != nil || count != n || size != wantBytes {
			b.Fatalf("%s: %d virtual servers of %d bytes, %v; want %d of %d", way.name, count, size, err, n, wantBytes)
		}
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if count, _, err := way.list(b.Context()); err != nil || count != n {
					b.Fatalf("%d virtual servers, %v", count, err)
				}
			}
			runtime.ReadMemStats(&after)
			runs := float64(b.N)
			costs[way.name] = cost{
				time:   float64(b.Elapsed()) / runs,
				bytes:  float64(after.TotalAlloc-before.TotalAlloc) / runs,
				allocs: float64(after.Mallocs-before.Mallocs) / runs,
			}
		})
	}
	if len(costs) < len(ways) {
		return // -bench chose some of them
	}
	fmt.Print(report(costs))
}

func report(costs map[string]cost) string {
	ours, sdk, least := costs["viaduct"], costs["vmware-sdk"], costs["floor"]
	var s strings.Builder
	fmt.Fprintf(&s, "list of 10,000 virtual servers\n%-12s %12s %12s %12s\n", "", "time", "MB", "allocations")
	for _, name := range []string{"viaduct", "vmware-sdk", "floor"} {
		c := costs[name]
		fmt.Fprintf(&s, "%-12s %12s %12.1f %12.0f\n", name, time.Duration(c.time).Round(100*time.Microsecond), c.bytes/1e6, c.allocs)
	}
	fmt.Fprintf(&s, "%-28s %8.1f× time %8.1f× bytes %8.1f× allocations\n", "VMware's SDK takes of ours:", sdk.time/ours.time, sdk.bytes/ours.bytes, sdk.allocs/ours.allocs)
	fmt.Fprintf(&s, "%-28s %8.2f× time %8.2f× bytes %8.2f× allocations\n", "ours takes of the floor:", ours.time/least.time, ours.bytes/least.bytes, ours.allocs/least.allocs)
	return s.String()
}

// BenchmarkMemory ranges over 1,000, 10,000 and 100,000 virtual servers and
// prints how much memory is alive on the way, beyond what was before.
func BenchmarkMemory(b *testing.B) {
	var table strings.Builder
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv := manager(b, n)
			hc := replaying(srv)
			client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
				nsx.WithHTTPClient(hc), nsx.WithLimit(nsx.Limit{}))
			if err != nil {
				b.Fatal(err)
			}
			alive := func() int64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			most := int64(0)
			list := func() {
				before, count := alive(), 0
				for vs, err := range client.VirtualServers().All(b.Context(), nsx.ListOptions{}) {
					if err != nil || vs.IPAddress == "" {
						b.Fatal(err)
					}
					// Ten looks, each in the middle of a page.
					if count++; count%(n/10) == n/20 {
						most = max(most, alive()-before)
					}
				}
				if count != n {
					b.Fatalf("%d virtual servers, want %d", count, n)
				}
			}
			list() // fills the replay
			most = 0
			for b.Loop() {
				list()
			}
			b.ReportMetric(float64(most)/1e6, "live-MB")
			// Each run of this function replaces the line of the one before.
			text, _, _ := strings.Cut(table.String(), fmt.Sprintf("%12d ", n))
			table.Reset()
			fmt.Fprintf(&table, "%s%12d %12.2f\n", text, n, float64(most)/1e6)
		})
	}
	fmt.Printf("memory alive while ranging\n%12s %12s\n%s", "objects", "MB", table.String())
}

// quiet silences the SDK, which otherwise writes a line for each request.
type quiet struct{}

func (quiet) Error(...any)          {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Info(...any)           {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Debug(...any)          {}
func (quiet) Debugf(string, ...any) {}
