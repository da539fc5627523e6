// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/viaduct-sdk/viaduct/bridge"
)

func report(p bridge.Progress) { fmt.Printf("    %s: %s\n", p.Object, p.State) }

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// verify reads back, with a client of its own, what a kube-proxy would act on:
// the Service's cluster IP, and ready endpoints that hold the virtual address.
// It prints a line for each service.
func verify(ctx context.Context, config *rest.Config, exported []*bridge.Exported, imported []*bridge.Imported) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  NAME\tCLUSTER IP\tVIP\tPORTS\tVIRTUAL SERVER\tMEMBERS UP")
	for n, i := range imported {
		service, err := client.CoreV1().Services(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		vips, err := readyAddresses(ctx, client, i)
		if err != nil {
			return err
		}
		if want := exported[n].Addresses[0].String(); len(vips) != len(exported[n].Addresses) || vips[0] != want {
			return fmt.Errorf("%s/%s leads to %v, want %v", i.Namespace, i.Name, vips, exported[n].Addresses)
		}
		server, up := proofOf(exported[n])
		fmt.Fprintf(table, "  %s.%s.svc\t%s\t%s\t%s\t%s\t%s\n", i.Name, i.Namespace,
			service.Spec.ClusterIP, strings.Join(vips, ","), ports(i.Ports), server, up)
	}
	return table.Flush()
}

// readyAddresses returns the addresses that a kube-proxy would forward to.
func readyAddresses(ctx context.Context, client kubernetes.Interface, i *bridge.Imported) ([]string, error) {
	slices, err := client.DiscoveryV1().EndpointSlices(i.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + i.Name,
	})
	if err != nil {
		return nil, err
	}
	var ready []string
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready = append(ready, e.Addresses...)
			}
		}
	}
	return ready, nil
}

func proofOf(e *bridge.Exported) (server, up string) {
	var servers, members []string
	for _, s := range e.Proof.VirtualServers {
		servers = append(servers, s.Path[strings.LastIndex(s.Path, "/")+1:])
		members = append(members, strconv.Itoa(s.MembersUp)+"/"+strconv.Itoa(s.Members))
	}
	if len(servers) == 0 {
		return "-", "-"
	}
	return strings.Join(servers, ","), strings.Join(members, ",")
}

func ports(all []bridge.Port) string {
	text := make([]string, len(all))
	for i, p := range all {
		text[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	}
	return strings.Join(text, ",")
}
