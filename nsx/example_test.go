// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsx_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/nsx/nsxsim"
)

// simulated returns a client of a simulated manager.
func simulated(opts ...nsx.Option) (*nsxsim.Server, *nsx.Client) {
	srv := nsxsim.NewServer()
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		append([]nsx.Option{nsx.WithHTTPClient(srv.Client())}, opts...)...)
	if err != nil {
		panic(err)
	}
	return srv, client
}

// check ends an example at an error.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

func Example() {
	_, client := simulated()
	ctx := context.Background()

	check(client.LBServices().Apply(ctx, nsx.LBService{Resource: nsx.Resource{ID: "lb"}}))
	check(client.Pools().Apply(ctx, nsx.Pool{
		Resource: nsx.Resource{ID: "db"},
		Members:  []nsx.PoolMember{{IPAddress: "10.244.0.5", Port: "5432"}},
	}))
	check(client.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource:  nsx.Resource{ID: "db"},
		IPAddress: "192.168.30.66", Ports: []string{"5432"},
		PoolPath:               client.Pools().Path("db"),
		LBServicePath:          client.LBServices().Path("lb"),
		ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	}))
	for server, err := range client.VirtualServers().All(ctx, nsx.ListOptions{}) {
		check(err)
		fmt.Println(server.Path, server.IPAddress, server.Ports)
	}
	// Output: /infra/lb-virtual-servers/db 192.168.30.66 [5432]
}

func ExampleNewClient() {
	srv := nsxsim.NewServer(nsxsim.WithManagers(2))
	client, err := nsx.NewClient(srv.URL(), nsx.SessionAuth(nsxsim.DefaultUser, nsxsim.DefaultPassword),
		nsx.WithHTTPClient(srv.Client()),
		nsx.WithEndpoints(srv.Managers()[1].URL()),
		nsx.WithRetry(nsx.RetryPolicy{Attempts: 4}),
		nsx.WithLimit(nsx.Limit{PerSecond: 50, InFlight: 20}))
	check(err)
	for _, manager := range client.CheckHealth(context.Background()) {
		fmt.Println(manager.Endpoint, manager.Err)
	}
	// Output:
	// https://nsx.sim <nil>
	// https://nsx-2.sim <nil>
}

func ExampleAuth() {
	auth := nsx.RemoteAuth("jane@corp.example", "a secret")
	slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})).Info("connecting", "auth", auth)
	// Output: level=INFO msg=connecting auth="nsx.Auth(remote jane@corp.example)"
}

func ExampleBearerAuth() {
	srv := nsxsim.NewServer(nsxsim.WithPrincipal(nsxsim.Principal{Name: "svc", Token: "a.jwt.token"}))
	token := func(context.Context) (string, error) { return "a.jwt.token", nil }
	client, err := nsx.NewClient(srv.URL(), nsx.BearerAuth(token), nsx.WithHTTPClient(srv.Client()))
	check(err)
	version, err := client.Version(context.Background())
	check(err)
	fmt.Println(version.Major, version.Minor)
	// Output: 3 2
}

func ExampleClient_Close() {
	srv, client := simulated()
	ctx := context.Background()
	check(client.Pools().Delete(ctx, "nothing"))
	check(client.Close(ctx))
	for _, r := range srv.Requests() {
		fmt.Println(r.Method, r.Path, r.Status)
	}
	// Output:
	// POST /api/session/create 200
	// DELETE /policy/api/v1/infra/lb-pools/nothing 404
	// GET /api/session/destroy 200
}

func ExampleClient_RoundTripper() {
	srv, client := simulated()
	lent := &http.Client{Transport: client.RoundTripper()}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL()+"/api/v1/reverse-proxy/node/health", http.NoBody)
	check(err)
	res, err := lent.Do(req)
	check(err)
	defer func() { _ = res.Body.Close() }()
	fmt.Println(res.Status)
	// Output: 200 OK
}

func ExampleClient_Require() {
	_, client := simulated()
	err := client.Require(context.Background(), "projects", nsx.Version{Major: 4, Patch: 1})
	fmt.Println(errors.Is(err, viaduct.ErrUnsupported))
	fmt.Println(err)
	// Output:
	// true
	// nsx: projects needs NSX 4.0.1, the manager has 3.2.1.0.0.19801959
}

func ExampleWithObserver() {
	_, client := simulated(nsx.WithObserver(func(_ context.Context, call nsx.Call) {
		fmt.Println(call.Op, call.Route, call.Status)
	}))
	check(client.Pools().Apply(context.Background(), nsx.Pool{Resource: nsx.Resource{ID: "web"}}))
	// Output:
	// log in /api/session/create 200
	// apply pool /infra/lb-pools/{id} 200
}

func ExampleWithAllowOverwrite() {
	srv, client := simulated()
	check(srv.Put("/infra/lb-pools/ncp-made-it", nsx.Pool{})) // as another principal
	ctx := context.Background()
	err := client.Pools().Delete(ctx, "ncp-made-it")
	fmt.Println(errors.Is(err, viaduct.ErrNotOwned))
	fmt.Println(client.Pools().Delete(ctx, "ncp-made-it", nsx.WithAllowOverwrite()))
	// Output:
	// true
	// <nil>
}

func ExampleError() {
	_, client := simulated()
	_, err := client.Segments().Get(context.Background(), "nothing")
	if errors.Is(err, viaduct.ErrNotFound) {
		var e *nsx.Error
		errors.As(err, &e)
		fmt.Println(e.Op, e.Object, e.Status, e.Code)
	}
	// Output: get segment nothing 404 600
}

func ExampleError_Referrers() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "web"}}))
	check(client.VirtualServers().Apply(ctx, nsx.VirtualServer{
		Resource: nsx.Resource{ID: "web"}, IPAddress: "192.168.30.66", Ports: []string{"80"},
		PoolPath: client.Pools().Path("web"), ApplicationProfilePath: nsx.DefaultTCPProfilePath,
	}))
	var e *nsx.Error
	if err := client.Pools().Delete(ctx, "web"); errors.Is(err, viaduct.ErrInUse) && errors.As(err, &e) {
		fmt.Println(e.Referrers())
	}
	// Output: [/infra/lb-virtual-servers/web]
}

func ExampleCollection_All() {
	srv, client := simulated()
	for _, name := range []string{"a", "b", "c"} {
		check(srv.Put("/infra/lb-pools/"+name, nsx.Pool{}))
	}
	for pool, err := range client.Pools().All(context.Background(), nsx.ListOptions{PageSize: 2}) {
		check(err)
		fmt.Println(pool.ID)
	}
	// Output:
	// a
	// b
	// c
}

func ExampleCollection_List() {
	srv, client := simulated()
	for _, name := range []string{"a", "b", "c"} {
		check(srv.Put("/infra/lb-pools/"+name, nsx.Pool{}))
	}
	page, err := client.Pools().List(context.Background(), nsx.ListOptions{PageSize: 2})
	check(err)
	fmt.Println(len(page.Items), page.Next != "")
	// Output: 2 true
}

func ExampleCollection_Search() {
	srv, client := simulated()
	check(srv.Put("/infra/lb-pools/a", nsx.Pool{Resource: nsx.Resource{Tags: nsx.Tags{{Scope: "team", Tag: "data"}}}}))
	check(srv.Put("/infra/lb-pools/b", nsx.Pool{}))
	for pool, err := range client.Pools().Search(context.Background(), nsx.Query{}.Tag("team", "data")) {
		check(err)
		fmt.Println(pool.Path)
	}
	// Output: /infra/lb-pools/a
}

func ExampleCollection_Update() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "web"}}))
	pool, err := client.Pools().Update(ctx, "web", func(p *nsx.Pool) error {
		p.Members = append(p.Members, nsx.PoolMember{IPAddress: "10.244.0.5", Port: "80"})
		return nil
	})
	check(err)
	fmt.Println(len(pool.Members), pool.Revision)
	// Output: 1 1
}

func ExampleCollection_Replace() {
	_, client := simulated()
	ctx := context.Background()
	check(client.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "web"}}))
	read, err := client.Pools().Get(ctx, "web")
	check(err)
	check(client.Pools().Apply(ctx, nsx.Pool{Resource: nsx.Resource{ID: "web", Description: "somebody was faster"}}))
	_, err = client.Pools().Replace(ctx, read)
	fmt.Println(errors.Is(err, viaduct.ErrConflict))
	// Output: true
}

func ExampleSearch_All() {
	srv, client := simulated()
	tags := nsx.Tags{{Scope: "team", Tag: "data"}}
	check(srv.Put("/infra/lb-pools/web", nsx.Pool{Resource: nsx.Resource{Tags: tags}}))
	check(srv.Put("/infra/segments/web", nsx.Segment{Resource: nsx.Resource{Tags: tags}}))
	for hit, err := range client.Search().All(context.Background(), nsx.Query{}.Tag("team", "data")) {
		check(err)
		fmt.Println(hit.ResourceType, hit.Path)
	}
	// Output:
	// LBPool /infra/lb-pools/web
	// Segment /infra/segments/web
}

func ExampleHit_Into() {
	srv, client := simulated()
	check(srv.Put("/infra/lb-pools/web", nsx.Pool{Algorithm: nsx.LBIPHash}))
	for hit, err := range client.Search().All(context.Background(), nsx.Query{}.Type("LBPool")) {
		check(err)
		var pool nsx.Pool
		check(hit.Into(&pool))
		fmt.Println(pool.Algorithm)
	}
	// Output: IP_HASH
}

func ExampleQuery() {
	fmt.Println(nsx.Query{}.Type("LBVirtualServer").Tag("ncp/cluster", "domain-c8:0a1b"))
	// Output: resource_type:LBVirtualServer AND tags.scope:ncp\/cluster AND tags.tag:domain\-c8\:0a1b AND marked_for_delete:false
}

func ExampleRaw_Get() {
	_, client := simulated()
	var domain struct {
		Path string `json:"path"`
	}
	check(client.Raw().Get(context.Background(), "/infra/domains/default", &domain))
	fmt.Println(domain.Path)
	// Output: /infra/domains/default
}

func ExampleClient_Send() {
	srv, client := simulated()
	ctx := context.Background()
	batch := nsx.NewBatch()
	for i := range 700 {
		client.Pools().ApplyIn(batch, nsx.Pool{Resource: nsx.Resource{ID: fmt.Sprintf("p%d", i)}})
	}
	srv.ClearRequests()
	check(client.Send(ctx, batch))
	fmt.Println(len(srv.Paths("/infra/lb-pools")), "pools")
	// Output: 700 pools
}

func ExamplePath() {
	path, err := nsx.ParsePath("/infra/domains/default/groups/web")
	check(err)
	fmt.Println(path.ID(), path.Parent(), path.Under("/infra/domains/default"))
	// Output: web /infra/domains/default true
}

func ExampleTags() {
	tags := nsx.Tags{{Scope: "ncp/cluster", Tag: "domain-c8:0a1b"}, {Scope: "ncp/project", Tag: "acme"}}
	fmt.Println(tags.Has("ncp/project", "acme"), tags.With("ncp/project", "other").All("ncp/project"))
	// Output: true [other]
}
