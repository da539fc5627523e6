// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	kuberest "k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/viaduct-sdk/viaduct/tkc"
)

// fakeAPI is as much of a Supervisor's API server as the tests here need:
// discovery, and objects to read, list in pages, watch, create and delete. It is
// reached in process, without listener. The real ones are in the lab's tests.
type fakeAPI struct {
	mu       sync.Mutex
	served   map[string][]string // "group/version": resources
	objects  map[string]*unstructured.Unstructured
	version  int
	watchers map[chan watchEvent]string // the prefix that each is interested in
	history  []pastEvent
	requests []string
	// fault answers instead, when it returns something.
	fault func(*http.Request) (code int, reason metav1.StatusReason)
}

type watchEvent struct {
	Type   string         `json:"type"`
	Object map[string]any `json:"object"`
}

type pastEvent struct {
	key     string
	version int
	watchEvent
}

func newFake(apis ...tkc.API) *fakeAPI {
	f := &fakeAPI{served: map[string][]string{}, objects: map[string]*unstructured.Unstructured{}, watchers: map[chan watchEvent]string{}}
	for _, api := range apis {
		f.served[string(api)] = []string{plural(string(api)), plural(string(api)) + "/status"}
	}
	return f
}

func plural(apiVersion string) string {
	switch {
	case strings.HasPrefix(apiVersion, "run."):
		return "tanzukubernetesclusters"
	case strings.HasPrefix(apiVersion, "cluster."):
		return "clusters"
	default:
		return "secrets"
	}
}

// client returns a client of the fake.
func (f *fakeAPI) client(t testing.TB, opts ...tkc.Option) *tkc.Client {
	t.Helper()
	c, err := tkc.NewClient(&kuberest.Config{Host: "https://supervisor.test", QPS: -1, Transport: inProcess{f}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inProcess calls a handler instead of a network.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	r, w := io.Pipe()
	out := &responseWriter{header: http.Header{}, started: make(chan int, 1), body: w}
	go func() {
		p.handler.ServeHTTP(out, req)
		out.WriteHeader(http.StatusOK)
		_ = w.Close()
	}()
	select {
	case code := <-out.started:
		return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: out.header.Clone(), Body: r, Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}, nil
	case <-req.Context().Done():
		_ = r.Close()
		return nil, req.Context().Err()
	}
}

type responseWriter struct {
	header  http.Header
	once    sync.Once
	started chan int
	body    *io.PipeWriter
}

func (w *responseWriter) Header() http.Header { return w.header }
func (w *responseWriter) WriteHeader(code int) {
	w.once.Do(func() { w.started <- code })
}

func (w *responseWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func objectKey(apiVersion, namespace, name string) string {
	return apiVersion + "/" + plural(apiVersion) + "/" + namespace + "/" + name
}

func parseObject(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u
}

// put creates or replaces an object, as a controller would.
func (f *fakeAPI) put(u *unstructured.Unstructured) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store(u)
}

func (f *fakeAPI) store(u *unstructured.Unstructured) {
	key := objectKey(u.GetAPIVersion(), u.GetNamespace(), u.GetName())
	f.version++
	u = u.DeepCopy()
	u.SetResourceVersion(strconv.Itoa(f.version))
	if u.GetUID() == "" {
		u.SetUID(types.UID(fmt.Sprintf("uid-%d", f.version)))
	}
	event := "ADDED"
	if f.objects[key] != nil {
		event = "MODIFIED"
	}
	f.objects[key] = u
	f.send(key, watchEvent{event, u.Object})
}

// drop removes an object.
func (f *fakeAPI) drop(apiVersion, namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := objectKey(apiVersion, namespace, name)
	u := f.objects[key]
	if u == nil {
		return
	}
	f.version++
	u = u.DeepCopy()
	u.SetResourceVersion(strconv.Itoa(f.version))
	delete(f.objects, key)
	f.send(key, watchEvent{"DELETED", u.Object})
}

func (f *fakeAPI) send(key string, e watchEvent) {
	f.history = append(f.history, pastEvent{key, f.version, e})
	for c, prefix := range f.watchers {
		if strings.HasPrefix(key, prefix) {
			c <- e
		}
	}
}

// disconnect ends all watches, with an error event when code is not 0.
func (f *fakeAPI) disconnect(code int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.watchers {
		if code != 0 {
			c <- watchEvent{"ERROR", map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "Expired"}}
		}
		close(c)
		delete(f.watchers, c)
	}
}

func (f *fakeAPI) seen(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

// discoveries counts how often it was asked which APIs it has.
func (f *fakeAPI) discoveries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.requests {
		if r == "GET /apis/cluster.x-k8s.io" {
			n++
		}
	}
	return n
}

func (f *fakeAPI) setFault(fault func(*http.Request) (int, metav1.StatusReason)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI())
	fault := f.fault
	f.mu.Unlock()
	if fault != nil {
		if code, reason := fault(r); code != 0 {
			refuse(w, code, reason)
			return
		}
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] == "api" {
		parts = append([]string{"apis", ""}, parts[1:]...)
	}
	switch len(parts) {
	case 2:
		f.group(w, parts[1])
		return
	case 3:
		f.resources(w, strings.Trim(parts[1]+"/"+parts[2], "/"))
		return
	}
	api, rest := strings.Trim(parts[1]+"/"+parts[2], "/"), parts[3:]
	namespace := ""
	if rest[0] == "namespaces" && len(rest) > 2 {
		namespace, rest = rest[1], rest[2:]
	}
	if api != "v1" && !slices.Contains(f.servedBy(api), rest[0]) {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	if len(rest) > 1 {
		f.one(w, r, api, namespace, rest[1])
		return
	}
	f.many(w, r, api, namespace)
}

func (f *fakeAPI) servedBy(api string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served[api]
}

func (f *fakeAPI) group(w http.ResponseWriter, group string) {
	var g metav1.APIGroup
	f.mu.Lock()
	for _, gv := range slices.Sorted(maps.Keys(f.served)) {
		if name, version, _ := strings.Cut(gv, "/"); name == group {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv, Version: version})
		}
	}
	f.mu.Unlock()
	if len(g.Versions) == 0 {
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	reply(w, http.StatusOK, g)
}

func (f *fakeAPI) resources(w http.ResponseWriter, api string) {
	var l metav1.APIResourceList
	for _, name := range f.servedBy(api) {
		l.APIResources = append(l.APIResources, metav1.APIResource{Name: name})
	}
	reply(w, http.StatusOK, l)
}

func (f *fakeAPI) one(w http.ResponseWriter, r *http.Request, api, namespace, name string) {
	f.mu.Lock()
	u := f.objects[objectKey(api, namespace, name)]
	f.mu.Unlock()
	if u == nil {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	if r.Method != http.MethodDelete {
		reply(w, http.StatusOK, u.Object)
		return
	}
	var opts metav1.DeleteOptions
	if err := json.NewDecoder(r.Body).Decode(&opts); err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
		return
	}
	if p := opts.Preconditions; p != nil && p.UID != nil && *p.UID != u.GetUID() {
		refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
		return
	}
	f.drop(api, namespace, name)
	reply(w, http.StatusOK, metav1.Status{Status: metav1.StatusSuccess})
}

func (f *fakeAPI) many(w http.ResponseWriter, r *http.Request, api, namespace string) {
	if r.Method == http.MethodPost {
		u := &unstructured.Unstructured{}
		body, err := io.ReadAll(r.Body)
		if err != nil || u.UnmarshalJSON(body) != nil {
			refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
			return
		}
		f.put(u)
		f.mu.Lock()
		u = f.objects[objectKey(api, namespace, u.GetName())]
		f.mu.Unlock()
		reply(w, http.StatusCreated, u.Object)
		return
	}
	prefix := api + "/" + plural(api) + "/"
	if namespace != "" {
		prefix += namespace + "/"
	}
	if r.URL.Query().Get("watch") != "" {
		f.watch(w, r, prefix)
		return
	}
	f.list(w, r, prefix)
}

func (f *fakeAPI) list(w http.ResponseWriter, r *http.Request, prefix string) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	f.mu.Lock()
	defer f.mu.Unlock()
	l := map[string]any{"kind": "List", "apiVersion": "v1"}
	meta := map[string]any{"resourceVersion": strconv.Itoa(f.version)}
	items := []any{}
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		if !strings.HasPrefix(key, prefix) || key <= q.Get("continue") {
			continue
		}
		if limit > 0 && len(items) == min(limit, 3) {
			break // pages are small here, so that there are some
		}
		items = append(items, f.objects[key].Object)
		meta["continue"] = key
	}
	if limit == 0 || len(items) < 3 {
		delete(meta, "continue")
	}
	l["metadata"], l["items"] = meta, items
	reply(w, http.StatusOK, l)
}

func (f *fakeAPI) watch(w http.ResponseWriter, r *http.Request, prefix string) {
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	events := make(chan watchEvent, 10_000)
	f.mu.Lock()
	for _, past := range f.history {
		if past.version > since && strings.HasPrefix(past.key, prefix) {
			events <- past.watchEvent
		}
	}
	f.watchers[events] = prefix
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	encoder := json.NewEncoder(w)
	for {
		select {
		case <-r.Context().Done():
			f.mu.Lock()
			delete(f.watchers, events)
			f.mu.Unlock()
			return
		case e, open := <-events:
			if !open || encoder.Encode(e) != nil {
				return
			}
			if flusher, ok := w.(http.Flusher); ok {
				flusher.Flush()
			}
		}
	}
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	reply(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: cmp.Or(string(reason), "refused"),
	})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
