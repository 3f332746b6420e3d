package main

// CBOR and COSE: sections 1 and 5.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

var deterministic = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// The reader is strict in itself, but for the order of keys and the length of integers: decode sees
// to those.
var strict = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// decode takes deterministic CBOR only: what would be encoded in another way is refused.
func decode(data []byte, to any, what string) error {
	if err := strict.Unmarshal(data, to); err != nil {
		return notAuthentic("the %s: %v", what, err)
	}
	again, err := deterministic.Marshal(to)
	if err != nil || !bytes.Equal(again, data) {
		return notAuthentic("the %s is not in deterministic CBOR, or lacks a member", what)
	}
	return nil
}

// profile is a row of section 5's table: nothing of it is taken from a message.
type profile struct {
	what      string
	header    string // the protected header, as far as the kid
	aad       string
	hash      func([]byte) []byte
	numberLen int // of r and of s
}

var (
	receiptProfile = profile{"receipt", "\xa2\x01\x26\x04\x50", "vouchsafe/1 receipt",
		func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }, 32}
	delegationProfile = profile{"delegation", "\xa2\x01\x38\x22\x04\x50", "vouchsafe/1 delegation",
		func(b []byte) []byte { h := sha512.Sum384(b); return h[:] }, 48}
)

// verifiedPayload is what a COSE_Sign1 says that one of `keys` signed.
func (p *profile) verifiedPayload(message []byte, keys map[string]*ecdsa.PublicKey) ([]byte, error) {
	type sign1 struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected map[int]any
		Payload     []byte
		Signature   []byte
	}
	inner, tagged := bytes.CutPrefix(message, []byte{0xd2}) // tag 18
	if !tagged {
		return nil, notAuthentic("the %s is no tagged COSE_Sign1", p.what)
	}
	var m sign1
	if err := decode(inner, &m, p.what); err != nil {
		return nil, err
	}
	kid, same := strings.CutPrefix(string(m.Protected), p.header)
	if !same || len(kid) != 16 || m.Unprotected == nil || len(m.Unprotected) != 0 {
		return nil, notAuthentic("the %s's headers are others", p.what)
	}
	key := keys[kid]
	if key == nil {
		return nil, notAuthentic("the %s is signed by a key that is not trusted", p.what)
	}
	if len(m.Signature) != 2*p.numberLen {
		return nil, notAuthentic("the %s's signature is cut", p.what)
	}
	// RFC 9052 section 4.4.
	signed, err := deterministic.Marshal([]any{"Signature1", m.Protected, []byte(p.aad), m.Payload})
	if err != nil {
		return nil, err
	}
	r := new(big.Int).SetBytes(m.Signature[:p.numberLen])
	s := new(big.Int).SetBytes(m.Signature[p.numberLen:])
	if !ecdsa.Verify(key, p.hash(signed), r, s) {
		return nil, notAuthentic("the %s's signature", p.what)
	}
	return m.Payload, nil
}

// parseKey takes a DER SPKI of that curve and no other spelling of it.
func parseKey(der []byte, curve elliptic.Curve) (key *ecdsa.PublicKey, kid string, ok bool) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, "", false
	}
	key, ok = parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != curve {
		return nil, "", false
	}
	again, err := x509.MarshalPKIXPublicKey(key)
	digest := sha256.Sum256(der)
	return key, string(digest[:16]), err == nil && bytes.Equal(again, der)
}

// loadIssuers: section 5, issuer file. It must be part of the measured image.
func loadIssuers(path string) (map[string]*ecdsa.PublicKey, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, failed(statusUsage, "%v", err)
	}
	issuers, blocks := map[string]*ecdsa.PublicKey{}, 0
	for rest = bytes.TrimSpace(rest); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		// pem.Decode passes over what stands before a block: nothing may.
		if !bytes.HasPrefix(rest, []byte("-----BEGIN PUBLIC KEY-----")) {
			return nil, failed(statusUsage, "%s: something else than public keys", path)
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "PUBLIC KEY" ||
			len(block.Headers) != 0 {
			return nil, failed(statusUsage, "%s: a block is no public key in PEM", path)
		}
		key, kid, ok := parseKey(block.Bytes, elliptic.P384())
		if !ok {
			return nil, failed(statusUsage, "%s: expected keys of P-384", path)
		}
		issuers[kid] = key
		blocks++
	}
	if blocks < 1 || blocks > 4 || len(issuers) != blocks {
		return nil, failed(statusUsage, "%s: expected 1 to 4 public keys, each once", path)
	}
	return issuers, nil
}
