// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct/bridge"
	"github.com/viaduct-sdk/viaduct/nsx"
	"github.com/viaduct-sdk/viaduct/supervisor/supervisorsim"
)

func importingBreakages() map[string]breakage {
	slice := func(cause, patch string) breakage {
		return breakage{hop: bridge.HopSlice, cause: cause, inject: func(s *scene) { s.patchSlice(patch) }}
	}
	endpoints := func(address string) string {
		return `{"endpoints":[{"addresses":["` + address + `"],"conditions":{"ready":true}}]}`
	}
	return map[string]breakage{
		"service deleted": {hop: bridge.HopNamed, cause: "there is no Service", inject: func(s *scene) {
			s.must(tkCluster(s.t).CoreV1().Services(s.name.Namespace).Delete(s.ctx, s.name.Name, metav1.DeleteOptions{}))
		}},
		"namespace gone": {hop: bridge.HopNamed, cause: "there is no namespace", once: true, inject: func(s *scene) {
			s.traced = types.NamespacedName{Namespace: "acme-trace-gone", Name: "db"}
			_, err := bridge.Import(s.ctx, importer(s.t, nil), s.exported, bridge.WithTarget(s.traced), bridge.WithCreateNamespace())
			s.must(err)
			s.must(tkCluster(s.t).CoreV1().Namespaces().Delete(s.ctx, s.traced.Namespace, metav1.DeleteOptions{}))
		}},
		"foreign service": {hop: bridge.HopImport, cause: "belongs to", once: true, inject: func(s *scene) {
			services := tkCluster(s.t).CoreV1().Services(s.name.Namespace)
			s.must(services.Delete(s.ctx, s.name.Name, metav1.DeleteOptions{}))
			_, err := services.Create(s.ctx, &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: s.name.Name},
				Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "other"}, Ports: []corev1.ServicePort{{Port: 5432}}},
			}, metav1.CreateOptions{FieldManager: "helm"})
			s.must(err)
		}},
		"marks removed": {hop: bridge.HopImport, cause: "is no import", inject: func(s *scene) {
			s.patchService(tkCluster(s.t), s.name.Name, `{"metadata":{"labels":{"viaduct-sdk.github.io/id":null}}}`, types.MergePatchType)
		}},
		"selector added": {hop: bridge.HopImport, cause: "selects pods (app=mine)", inject: func(s *scene) {
			s.patchService(tkCluster(s.t), s.name.Name, `{"spec":{"selector":{"app":"mine"}}}`, types.MergePatchType)
		}},
		"slice deleted": {hop: bridge.HopSlice, cause: "leads nowhere", inject: func(s *scene) {
			s.must(tkCluster(s.t).DiscoveryV1().EndpointSlices(s.name.Namespace).Delete(s.ctx, s.slice, metav1.DeleteOptions{}))
		}},
		"slice with a wrong port name":       slice("has no port named", `{"ports":[{"name":"other","port":5432,"protocol":"TCP"}]}`),
		"slice with the wrong protocol":      slice("has no port named", `{"ports":[{"name":"main","port":5432,"protocol":"UDP"}]}`),
		"slice without label":                slice("lacks the label", `{"metadata":{"labels":{"kubernetes.io/service-name":null}}}`),
		"slice labelled for another service": slice("lacks the label", `{"metadata":{"labels":{"kubernetes.io/service-name":"other"}}}`),
		"slice without owner":                slice("does not belong", `{"metadata":{"ownerReferences":null}}`),
		"slice without address":              slice("holds no address", `{"endpoints":[]}`),
		"slice not ready": {hop: bridge.HopSlice, cause: "holds no ready address", inject: func(s *scene) {
			s.patchSlice(fmt.Sprintf(`{"endpoints":[{"addresses":[%q],"conditions":{"ready":false}}]}`, s.exported.Addresses[0]))
		}},
		"foreign slice beside": {hop: bridge.HopSlice, cause: "stands behind the Service too", inject: func(s *scene) {
			s.foreignSlice()
		}},
		"endpoints mirrored": {hop: bridge.HopSlice, cause: "copied from the Endpoints", inject: func(s *scene) {
			_, err := tkCluster(s.t).CoreV1().Endpoints(s.name.Namespace).Create(s.ctx, &corev1.Endpoints{ //nolint:staticcheck // what old tools write
				ObjectMeta: metav1.ObjectMeta{Name: s.name.Name},
				Subsets: []corev1.EndpointSubset{{ //nolint:staticcheck // what old tools write
					Addresses: []corev1.EndpointAddress{{IP: "10.200.0.9"}},
					Ports:     []corev1.EndpointPort{{Name: "main", Port: 5432}},
				}},
			}, metav1.CreateOptions{})
			s.must(err)
		}, mend: func(s *scene) {
			s.must(tkCluster(s.t).CoreV1().Endpoints(s.name.Namespace).Delete(s.ctx, s.name.Name, metav1.DeleteOptions{}))
		}},
		"wrong address in the slice": {hop: bridge.HopAddress, cause: "the import leads to 192.168.30.200", inject: func(s *scene) {
			s.patchSlice(endpoints("192.168.30.200"))
		}},
		"NCP's internal address in the slice": {hop: bridge.HopAddress, cause: "internal to NCP", inject: func(s *scene) {
			s.patchSlice(endpoints("100.64.0.3"))
		}},
	}
}

// foreignSlice puts a slice of somebody else under the Service's name.
func (s *scene) foreignSlice() {
	s.t.Helper()
	name, port := "main", int32(5432)
	_, err := tkCluster(s.t).DiscoveryV1().EndpointSlices(s.name.Namespace).Create(s.ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: s.name.Name + "-foreign", Labels: map[string]string{discoveryv1.LabelServiceName: s.name.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.200.0.9"}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}, metav1.CreateOptions{FieldManager: "somebody"})
	s.must(err)
}

// asLoadBalancer is exported as it is.
func asLoadBalancer(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }

func exportingBreakages() map[string]breakage {
	const companion = "-viaduct"
	service := func(patch string) func(*scene) {
		return func(s *scene) { s.patchService(supervisor(s.t), s.name.Name, patch, types.StrategicMergePatchType) }
	}
	return map[string]breakage{
		"address changed": {hop: bridge.HopAddress, cause: "has 192.168.30.92 now", service: asLoadBalancer, inject: service(`{"spec":{"loadBalancerIP":"192.168.30.92"}}`)},
		"companion deleted": {hop: bridge.HopExport, cause: "has no companion", inject: func(s *scene) {
			s.must(supervisor(s.t).CoreV1().Services(s.name.Namespace).Delete(s.ctx, s.name.Name+companion, metav1.DeleteOptions{}))
		}},
		"companion's name taken": {hop: bridge.HopExport, cause: "the companion's name is taken", inject: func(s *scene) {
			s.patchService(supervisor(s.t), s.name.Name+companion, `{"metadata":{"labels":{"viaduct-sdk.github.io/id":null}}}`, types.MergePatchType)
		}, mend: func(s *scene) {
			s.must(supervisor(s.t).CoreV1().Services(s.name.Namespace).Delete(s.ctx, s.name.Name+companion, metav1.DeleteOptions{}))
		}},
		"exported service deleted": {hop: bridge.HopExport, cause: "there is no Service", inject: func(s *scene) {
			s.must(supervisor(s.t).CoreV1().Services(s.name.Namespace).Delete(s.ctx, s.name.Name, metav1.DeleteOptions{}))
		}},
		"selector changed":    {hop: bridge.HopExport, cause: "the Service selects app=other", inject: service(`{"spec":{"selector":{"app":"other"}}}`)},
		"target port changed": {hop: bridge.HopExport, cause: "target ports", inject: service(`{"spec":{"ports":[{"name":"main","port":5432,"targetPort":5433}]}}`)},
		"port changed": {
			hop: bridge.HopExport, cause: "leads to port main 5432/TCP", service: asLoadBalancer,
			inject: service(`{"spec":{"ports":[{"$patch":"replace"},{"name":"main","port":6432,"targetPort":5432}]}}`),
		},
		"type changed back":           {hop: bridge.HopExport, cause: "has no companion", service: asLoadBalancer, inject: service(`{"spec":{"type":"ClusterIP"}}`)},
		"address outside of the pool": {hop: bridge.HopNCP, cause: "IP_POOL_NOT_FOUND", service: asLoadBalancer, inject: service(`{"spec":{"loadBalancerIP":"203.0.113.9"}}`)},
		"address taken": {hop: bridge.HopNCP, cause: "LB_VIP_CONFLICT", service: asLoadBalancer, inject: func(s *scene) {
			other := types.NamespacedName{Namespace: s.name.Namespace, Name: "taker"}
			if _, err := supervisor(s.t).CoreV1().Services(other.Namespace).Get(s.ctx, other.Name, metav1.GetOptions{}); err != nil {
				workload(s.t, other, 80, func(o *corev1.Service) {
					o.Spec.Type, o.Spec.LoadBalancerIP = corev1.ServiceTypeLoadBalancer, "192.168.30.91"
				})
				_, err := bridge.Export(s.ctx, exporter(s.t, nil), other)
				s.must(err)
			}
			service(`{"spec":{"loadBalancerIP":"192.168.30.91"}}`)(s)
		}, mend: func(s *scene) {
			s.must(supervisor(s.t).CoreV1().Services(s.name.Namespace).Delete(s.ctx, "taker", metav1.DeleteOptions{}))
			s.must(supervisor(s.t).CoreV1().Pods(s.name.Namespace).Delete(s.ctx, "taker-0", metav1.DeleteOptions{}))
		}},
		"exporting namespace gone": {hop: bridge.HopExport, cause: "there is no namespace", once: true, inject: func(s *scene) {
			left := types.NamespacedName{Namespace: "acme-trace-left", Name: "db"}
			s.must(world.SupervisorSim.CreateNamespace(s.ctx, left.Namespace))
			workload(s.t, left, 5432, nil)
			exported, err := bridge.Export(s.ctx, exporter(s.t, nil), left)
			s.must(err)
			s.traced = types.NamespacedName{Namespace: s.name.Namespace, Name: "left"}
			_, err = bridge.Import(s.ctx, importer(s.t, nil), exported, bridge.WithTarget(s.traced))
			s.must(err)
			s.must(world.SupervisorSim.DeleteNamespace(s.ctx, left.Namespace))
		}, mend: func(s *scene) {
			s.must(tkCluster(s.t).CoreV1().Services(s.traced.Namespace).Delete(s.ctx, s.traced.Name, metav1.DeleteOptions{}))
		}},
	}
}

func nsxBreakages() map[string]breakage {
	set := func(object func(*scene) string, hop bridge.HopName, cause, field string, value any) breakage {
		return breakage{hop: hop, cause: cause, inject: func(s *scene) {
			s.put(object(s), func(o map[string]any) {
				if value == nil {
					delete(o, field)
					return
				}
				o[field] = value
			})
		}}
	}
	server := func(s *scene) string { return s.server }
	pool := func(s *scene) string { return s.pool }
	balancer := func(s *scene) string { return s.balancer }
	gateway := func(s *scene) string { return s.gateway }
	realization := func(object func(*scene) string, hop bridge.HopName, cause, state, message string) breakage {
		return breakage{
			hop: hop, cause: cause,
			inject: func(s *scene) { world.NSX.SetRealization(object(s), state, message) },
			mend:   func(s *scene) { world.NSX.SetRealization(object(s), "", "") },
		}
	}
	mended := func(b breakage, object func(*scene) string, field string, value func(*scene) any) breakage {
		b.mend = func(s *scene) { s.put(object(s), func(o map[string]any) { o[field] = value(s) }) }
		return b
	}
	gone := func(object func(*scene) string, hop bridge.HopName) breakage {
		return breakage{hop: hop, cause: "does not exist any more", inject: func(s *scene) {
			s.nsxs = answering(func(req *http.Request) bool {
				return strings.HasPrefix(req.URL.Path, "/policy/api/v1"+object(s))
			}, http.StatusNotFound, `{"httpStatus":"NOT_FOUND","error_code":600,"module_name":"Policy","error_message":"The path is invalid"}`)
		}}
	}
	return map[string]breakage{
		"virtual server removed": {hop: bridge.HopVirtualServer, cause: "NSX has no virtual server on", inject: func(s *scene) {
			s.must(world.NSX.Remove(s.server))
		}},
		"virtual server unrealized":      realization(server, bridge.HopVirtualServer, "is UNREALIZED", "UNREALIZED", ""),
		"virtual server in error":        realization(server, bridge.HopVirtualServer, "edge cluster is full", "ERROR", "edge cluster is full"),
		"virtual server disabled":        set(server, bridge.HopVirtualServer, "is disabled", "enabled", false),
		"virtual server on another port": set(server, bridge.HopVirtualServer, "no virtual server on", "ports", []string{"9999"}),
		"virtual server without load balancer": set(server, bridge.HopVirtualServer,
			"attached to no load balancer", "lb_service_path", nil),
		"virtual server of another service": set(server, bridge.HopVirtualServer, "is not the exported Service's", "tags",
			[]map[string]string{{"scope": "ncp/service_uid", "tag": "0c7e6d1e-0000-4000-8000-000000000000"}}),
		"load balancer disabled": mended(set(balancer, bridge.HopLoadBalancer, "is disabled", "enabled", false),
			balancer, "enabled", func(*scene) any { return true }),
		"load balancer without gateway": mended(set(balancer, bridge.HopLoadBalancer, "attached to no gateway", "connectivity_path", nil),
			balancer, "connectivity_path", func(s *scene) any { return s.gateway }),
		"load balancer in error": realization(balancer, bridge.HopLoadBalancer, "no edge node", "ERROR", "no edge node is left"),
		"load balancer down": {hop: bridge.HopLoadBalancer, cause: "is DOWN edge node is down", inject: func(s *scene) {
			s.nsxs = answering(func(req *http.Request) bool {
				return req.URL.Path == "/policy/api/v1"+s.balancer+"/detailed-status"
			}, http.StatusOK, `{"results":[{"service_status":"DOWN","error_message":"edge node is down"}]}`)
		}},
		"load balancer removed": gone(balancer, bridge.HopLoadBalancer),
		"tier-1 removed":        gone(gateway, bridge.HopTier1),
		"tier-1 unrealized":     realization(gateway, bridge.HopTier1, "is UNREALIZED", "UNREALIZED", ""),
		"tier-1 announces no addresses": mended(set(gateway, bridge.HopTier1, "does not announce", "route_advertisement_types", []string{"TIER1_NAT"}),
			gateway, "route_advertisement_types", func(*scene) any {
				return []string{"TIER1_LB_SNAT", "TIER1_LB_VIP", "TIER1_NAT", "TIER1_STATIC_ROUTES"}
			}),
		"no pool":       set(server, bridge.HopPool, "has no pool", "pool_path", nil),
		"pool removed":  gone(pool, bridge.HopPool),
		"pool in error": realization(pool, bridge.HopPool, "could not realize", "ERROR", "no capacity"),
		"pool empty":    set(pool, bridge.HopPool, "has no members", "members", []any{}),
		"member down": {hop: bridge.HopMembers, cause: "Connect to Peer Failure", inject: func(s *scene) {
			world.NSX.SetMemberStatus(s.pool, s.pod, "DOWN")
		}},
		"member disabled": {hop: bridge.HopMembers, cause: "DISABLED", inject: func(s *scene) {
			s.put(s.pool, func(o map[string]any) {
				o["members"] = []map[string]any{{"ip_address": s.pod, "port": "5432", "admin_state": "DISABLED"}}
			})
		}},
	}
}

func podBreakages() map[string]breakage {
	hold := func(s *scene, value string) {
		s.t.Helper()
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, supervisorsim.AnnotationHold, value)
		_, err := supervisor(s.t).CoreV1().Pods(s.name.Namespace).Patch(s.ctx, s.name.Name+"-0", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		s.must(err)
	}
	const policies = "/infra/domains/default/security-policies/"
	// stop makes a rule before all others, of which NCP knows nothing.
	stop := func(hop bridge.HopName, direction nsx.RuleDirection, from, to func(*scene) string) breakage {
		path := func(s *scene) string { return policies + "trace-" + s.name.Name }
		return breakage{hop: hop, cause: "DROP by rule", inject: func(s *scene) {
			s.must(world.NSX.Put(path(s), nsx.SecurityPolicy{Category: nsx.CategoryEmergency, SequenceNumber: 1}))
			s.must(world.NSX.Put(path(s)+"/rules/stop", nsx.Rule{
				Action: nsx.RuleDrop, Direction: direction, Services: []nsx.Path{nsx.Any}, Scope: []nsx.Path{nsx.Any},
				SourceGroups: []nsx.Path{nsx.Path(from(s))}, DestinationGroups: []nsx.Path{nsx.Path(to(s))},
			}))
		}, mend: func(s *scene) { s.must(world.NSX.Remove(path(s))) }}
	}
	anyone := func(*scene) string { return string(nsx.Any) }
	return map[string]breakage{
		"pod not ready": {hop: bridge.HopMembers, cause: "is not ready: Held", inject: func(s *scene) { hold(s, supervisorsim.HoldNotReady) }},
		"pod gone": {hop: bridge.HopPool, cause: "no pod in namespace", inject: func(s *scene) {
			s.must(supervisor(s.t).CoreV1().Pods(s.name.Namespace).Delete(s.ctx, s.name.Name+"-0", metav1.DeleteOptions{}))
		}},
		"pod's labels changed": {hop: bridge.HopPool, cause: "no pod in namespace", inject: func(s *scene) {
			_, err := supervisor(s.t).CoreV1().Pods(s.name.Namespace).Patch(s.ctx, s.name.Name+"-0", types.MergePatchType,
				[]byte(`{"metadata":{"labels":{"app":"other"}}}`), metav1.PatchOptions{})
			s.must(err)
		}},
		"selector of a load balancer changed": {hop: bridge.HopPool, cause: "matches the selector app=nobody", service: asLoadBalancer, inject: func(s *scene) {
			s.patchService(supervisor(s.t), s.name.Name, `{"spec":{"selector":{"app":"nobody"}}}`, types.MergePatchType)
		}},
		"member is no pod": {hop: bridge.HopPods, cause: "no ready pod of the Service has the address of a member (10.9.9.9)", inject: func(s *scene) {
			s.put(s.pool, func(o map[string]any) {
				o["members"] = []map[string]any{{"ip_address": "10.9.9.9", "port": "5432"}}
			})
		}},
		"pod not ready and nobody told NSX": {hop: bridge.HopPods, cause: "no pod behind the Service is ready", inject: func(s *scene) {
			hold(s, supervisorsim.HoldNotReady)
			world.NSX.SetMemberStatus(s.pool, s.pod, "UP")
		}},
		"firewall drops at the pods": stop(bridge.HopPodFirewall, nsx.RuleIn, anyone, func(s *scene) string { return s.pod }),
		"firewall drops at the client": stop(bridge.HopClientFirewall, nsx.RuleOut,
			func(s *scene) string { return s.client.Address.String() }, func(s *scene) string { return s.exported.Addresses[0].String() }),
		"namespace isolated": {hop: bridge.HopPodFirewall, cause: "DROP by rule drop-in", inject: func(s *scene) {
			s.must(supervisor(s.t).NetworkingV1().NetworkPolicies(s.name.Namespace).Delete(s.ctx, "open", metav1.DeleteOptions{}))
		}, mend: func(s *scene) { letIn(s.t, s.name.Namespace) }},
	}
}

func jsonResponse(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}
