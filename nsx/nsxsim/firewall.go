// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package nsxsim

// checkRule refuses rules that no firewall can apply.
func checkRule(t *txn, o *object) error {
	policy := t.s.intent.objects[parentPath(o.path)]
	if o.text("action") == "JUMP_TO_APPLICATION" && policy.text("category") != "Environment" {
		return invalidField("action JUMP_TO_APPLICATION belongs in policies of the category Environment")
	}
	for _, name := range []string{"source_groups", "destination_groups"} {
		for _, element := range o.texts(name) {
			if element != "ANY" && element[:min(1, len(element))] != "/" && !isAddressElement(element) {
				return invalidField("%s %s is neither ANY nor a path nor an address", name, element)
			}
		}
	}
	return nil
}
