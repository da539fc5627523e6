// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

// Package vcentersim is a vCenter in process.
package vcentersim
