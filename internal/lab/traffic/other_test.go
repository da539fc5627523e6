// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && e2etraffic

package traffic_test

import "testing"

func TestTraffic(t *testing.T) {
	t.Fatal("the proof by traffic needs Linux: its machines are network namespaces")
}
