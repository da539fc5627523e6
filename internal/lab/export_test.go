// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

// KeeperScript is what the keeper's shell runs. Where the kernel kills orphans
// by itself, nothing else shows that the script would.
const KeeperScript = keeperScript
