// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package vcentersim

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/vmware/govmomi/pbm"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// vim is the SOAP side: govmomi's simulator, kept to one instance.
type vim struct {
	s         *Server
	service   *simulator.Service
	registry  *simulator.Registry
	inventory inventory

	// scene is held by whoever changes the inventory, and shared by those who
	// read it: govmomi's simulator locks single objects, and walks over many.
	scene sync.RWMutex

	mu     sync.Mutex
	live   map[string]*simulator.Session // by key; nil until the first call in it
	dead   map[string]bool               // the keys that expired
	logins int
	// segments are the port groups that AddSegmentPortGroup made, by logical
	// switch.
	segments map[string][]*simulator.DistributedVirtualPortgroup
}

func newVIM(s *Server) (*vim, error) {
	content := vpx.ServiceContent
	content.About.InstanceUuid = s.instance
	content.About.Version = s.opts.version
	content.About.ApiVersion = s.opts.version + ".0"
	content.About.FullName = "VMware vCenter Server " + s.opts.version + " (vcentersim)"
	content.LicenseManager = nil // made by isolate
	ctx, instance := simulator.NewServiceInstance(simulator.NewContext(), content, vpx.RootFolder)
	v := &vim{s: s, service: simulator.New(ctx, instance), registry: ctx.Map, live: map[string]*simulator.Session{}, dead: map[string]bool{}, segments: map[string][]*simulator.DistributedVirtualPortgroup{}}
	ctx.Context = s.ctx
	v.isolate(instance)
	v.service.Listen = &url.URL{Scheme: "https", Host: hostInProcess, Path: vim25.Path, User: url.User(DefaultUser)}
	v.registry.SessionManager().ServiceHostName = hostInProcess
	v.registry.SessionManager().ValidLogin = func(req *types.Login) bool {
		_, err := s.sessions.user(req.UserName, req.Password)
		return err == nil
	}
	v.registry.Put(&propertyCollector{server: s, PropertyCollector: simulator.PropertyCollector{
		PropertyCollector: mo.PropertyCollector{Self: content.PropertyCollector},
	}})
	v.registry.Handler = v.authorize
	v.service.RegisterSDK(v.registry, vim25.Path+"/vimService")
	v.service.ServeMux.HandleFunc(vim25.Path+"/vimServiceVersions.xml", v.service.ServiceVersions)
	profiles := newStorageProfiles()
	profiles.Handler = v.authorize
	v.service.RegisterSDK(profiles)
	var err error
	v.inventory, err = v.build()
	return v, err
}

// isolate replaces what govmomi's simulators share: the option values, which
// they write in place, and the licenses, which each of them appends to.
func (v *vim) isolate(instance *simulator.ServiceInstance) {
	m := v.registry.OptionManager()
	own := make([]types.BaseOptionValue, 0, len(m.Setting))
	for _, option := range m.Setting {
		value := *option.GetOptionValue()
		own = append(own, &value)
	}
	m.Setting = own
	licenses := *vpx.ServiceContent.LicenseManager
	v.registry.Put(&simulator.LicenseManager{LicenseManager: mo.LicenseManager{
		Self:     licenses,
		Licenses: []types.LicenseManagerLicenseInfo{{LicenseKey: "00000-00000-00000-00000-00000", EditionKey: "eval", Name: "Evaluation Mode"}},
	}})
	instance.Content.LicenseManager = &licenses
}

// context returns a context of its own for one operation, so that operations
// lock each other out.
func (v *vim) context() *simulator.Context {
	ctx := *v.service.Context
	return &ctx
}

func (v *vim) serves(path string) bool {
	return path == vim25.Path || strings.HasPrefix(path, vim25.Path+"/") || path == pbm.Path
}

// serve answers one SOAP call.
func (v *vim) serve(w http.ResponseWriter, r *http.Request, call soapCall) {
	key := sessionKey(r, call)
	if key != "" && !v.s.sessions.touch(key) {
		v.expire(key)
	}
	if v.isDead(key) {
		r.Header.Del("Cookie")
	}
	if call.method == "Login" {
		if err := v.refuseLogin(r); err != nil {
			writeSOAPFault(w, "PasswordExpired", err.Error())
			return
		}
	}
	if call.method == "WaitForUpdatesEx" || call.method == "WaitForUpdates" {
		// A client that goes away must not leave its wait behind.
		stop := context.AfterFunc(r.Context(), func() { v.cancelWait(key, call.this) })
		defer stop()
	} else {
		v.scene.RLock()
		defer v.scene.RUnlock()
	}
	v.service.ServeMux.ServeHTTP(w, r)
	for _, cookie := range (&http.Response{Header: w.Header()}).Cookies() {
		if cookie.Name == sessionCookie {
			v.loggedIn(strings.Trim(cookie.Value, `"`))
		}
	}
}

func (v *vim) loggedIn(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live[key] = nil
	v.logins++
}

func (v *vim) isDead(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.dead[key]
}

// refuseLogin reports why a right password is not good enough.
func (v *vim) refuseLogin(r *http.Request) error {
	body := readAll(r)
	method, err := simulator.UnmarshalBody(types.TypeFunc(), body)
	if err != nil {
		return nil //nolint:nilerr // the simulator says what is wrong with the body
	}
	login, ok := method.Body.(*types.Login)
	if !ok {
		return nil
	}
	for _, u := range v.s.opts.users {
		if u.PasswordExpired && strings.EqualFold(u.Name, login.UserName) && u.Password == login.Password {
			return fmt.Errorf("the password of %s expired", u.Name)
		}
	}
	return nil
}

// authorize runs before each SOAP call. It keeps track of sessions, and
// refuses reads without one, which govmomi's simulator lets pass.
func (v *vim) authorize(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session != nil && !v.isDead(ctx.Session.Key) {
		v.mu.Lock()
		v.live[ctx.Session.Key] = ctx.Session
		if method.Name == "Logout" {
			delete(v.live, ctx.Session.Key)
		}
		v.mu.Unlock()
		if ctx.Map.Get(method.This) == nil && ctx.Session.Get(method.This) == nil {
			// govmomi's simulator would print this too.
			return nil, &types.ManagedObjectNotFound{Obj: method.This}
		}
		return nil, nil // go on as usual
	}
	switch method.Name {
	case "Login", "RetrieveServiceContent", "PbmRetrieveServiceContent", "CurrentTime":
		return nil, nil // go on as usual
	}
	self := method.This
	return nil, &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &self, PrivilegeId: "System.View"}}
}

func (v *vim) sessionCount() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.live)
}

func (v *vim) loginCount() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.logins
}

// expireAll ends every session.
func (v *vim) expireAll() {
	v.mu.Lock()
	keys := make([]string, 0, len(v.live))
	for key := range v.live {
		keys = append(keys, key)
	}
	v.mu.Unlock()
	for _, key := range keys {
		v.expire(key)
	}
}

// expire ends one session with all that it holds.
func (v *vim) expire(key string) {
	v.mu.Lock()
	live := v.live[key]
	delete(v.live, key)
	v.dead[key] = true
	v.mu.Unlock()
	if live == nil {
		return
	}
	ctx := v.context()
	ctx.Session = live
	for _, obj := range live.AllReference("PropertyCollector") {
		if pc, ok := obj.(*propertyCollector); ok {
			pc.end()
			pc.unregister(v.registry)
		}
	}
	v.registry.SessionManager().Logout(ctx, &types.Logout{This: v.registry.SessionManager().Self})
}

// cancelWait ends a wait whose client is gone.
func (v *vim) cancelWait(key, collector string) {
	v.mu.Lock()
	live := v.live[key]
	v.mu.Unlock()
	if live == nil {
		return
	}
	ref := types.ManagedObjectReference{Type: "PropertyCollector", Value: collector}
	if pc, ok := live.Get(ref).(*propertyCollector); ok {
		pc.CancelWaitForUpdates(&types.CancelWaitForUpdates{This: ref})
	}
}

// soapCall is what the simulator needs to know of a request before it is
// decoded in full.
type soapCall struct {
	method, this, cookie string
}

func parseSOAP(body []byte) soapCall {
	var call soapCall
	dec := xml.NewDecoder(bytes.NewReader(body))
	inBody := false
	for {
		tok, err := dec.Token()
		if err != nil {
			return call
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch {
		case start.Name.Local == "Body":
			inBody = true
		case !inBody && start.Name.Local == "vcSessionCookie":
			_ = dec.DecodeElement(&call.cookie, &start)
		case inBody && call.method == "":
			call.method = start.Name.Local
		case inBody && start.Name.Local == "_this":
			_ = dec.DecodeElement(&call.this, &start)
			return call
		}
	}
}

// sessionKey finds the session in the HTTP cookie, or for the services beside
// vim25 in the SOAP header.
func sessionKey(r *http.Request, call soapCall) string {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		return strings.Trim(cookie.Value, `"`)
	}
	return strings.Trim(call.cookie, `"`)
}

// readAll reads a request's body and puts it back.
func readAll(r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// writeSOAPFault answers with a fault of vim25.
func writeSOAPFault(w http.ResponseWriter, fault, text string) {
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text))
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%s</faultstring>
<detail><%[2]sFault xmlns="urn:vim25" xsi:type="%[2]s"></%[2]sFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>
`, escaped.String(), fault)
}
