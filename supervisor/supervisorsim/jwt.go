// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package supervisorsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ownIssuer tells tokens of ours from those of service accounts.
const ownIssuer = "https://vcenter.sim/openidconnect/vsphere.local"

// claims are those of a token of vCenter Single Sign-On that are of use here.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Groups   []string `json:"group_names"`
	// Generation counts how often all tokens were refused before.
	Generation int `json:"generation"`
}

// issuer signs tokens as JWTs with ES256, and verifies them.
type issuer struct {
	key   *ecdsa.PrivateKey
	clock func() time.Time

	mu         sync.Mutex
	serial     int
	generation int
}

func newIssuer(clock func() time.Time) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &issuer{key: key, clock: clock}, nil
}

// issue makes a token for who, good for one audience.
func (i *issuer) issue(who User, audience string, lifetime time.Duration) (string, error) {
	now := i.clock()
	i.mu.Lock()
	i.serial++
	id, generation := identify("token", now.String(), strconv.Itoa(i.serial)), i.generation
	i.mu.Unlock()
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "JWT"})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims{
		Issuer: ownIssuer, Subject: who.Name, Audience: audience, Groups: who.Groups, ID: id,
		Issued: now.Unix(), Expires: now.Add(lifetime).Unix(), Generation: generation,
	})
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, digest[:])
	if err != nil {
		return "", err
	}
	const size = 32
	signature := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	return signed + "." + encode(signature), nil
}

// verify returns the claims of a token of ours, and whether it is good. Of a
// token that is not ours it returns nil.
func (i *issuer) verify(token, audience string) (c *claims, good bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, false
	}
	c = &claims{}
	if json.Unmarshal(payload, c) != nil || c.Issuer != ownIssuer {
		return nil, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	const size = 32
	if err != nil || len(signature) != 2*size {
		return c, false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	if !ecdsa.Verify(&i.key.PublicKey, digest[:], r, s) {
		return c, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return c, c.Audience == audience && i.clock().Unix() < c.Expires && c.Generation == i.generation
}

// refuse makes all tokens issued until now bad.
func (i *issuer) refuse() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.generation++
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
