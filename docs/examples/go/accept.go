package main

// Sections 4 and 5: what an answer must be to be believed, and how it is opened.

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/json"
	"slices"
)

// wrapFormat is the one that an X25519 key gives.
const wrapFormat = "hpke-x25519"

type answer struct {
	Receipt    binary `json:"receipt"`
	Delegation binary `json:"delegation"`
	Format     string `json:"format"`
	Enc        binary `json:"enc"`
	Secrets    []struct {
		Name       string `json:"name"`
		Version    uint32 `json:"version"`
		Ciphertext binary `json:"ciphertext"`
	} `json:"secrets"`
}

type delegation struct {
	Protocol   uint64 `cbor:"1,keyasint"`
	ReceiptKey []byte `cbor:"2,keyasint"`
	NotBefore  uint64 `cbor:"3,keyasint"`
	NotAfter   uint64 `cbor:"4,keyasint"`
	Store      []byte `cbor:"5,keyasint"`
}

type receipt struct {
	Protocol  uint64         `cbor:"1,keyasint"`
	Time      uint64         `cbor:"2,keyasint"`
	Challenge []byte         `cbor:"3,keyasint"`
	Document  []byte         `cbor:"4,keyasint"`
	Root      []byte         `cbor:"5,keyasint"`
	Store     []byte         `cbor:"6,keyasint"`
	Sequence  uint64         `cbor:"7,keyasint"`
	Secrets   []receiptEntry `cbor:"8,keyasint"`
	Images    []string       `cbor:"9,keyasint"`
}

type receiptEntry struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Version uint32
	Content []byte
	Flags   uint64
}

func marshalRequest(doc *document, secrets []wanted) ([]byte, error) {
	return json.Marshal(struct {
		Document binary   `json:"attestation_document"`
		Secrets  []wanted `json:"secrets"`
	}{doc.bytes, secrets})
}

// accept: section 5, "The enclave accepts an answer"; its numbers are in the comments.
func (c *client) accept(secrets []wanted, got *answer, challenge []byte, doc *document,
	key *ecdh.PrivateKey) ([]released, error) {
	// 1
	given, receiptKeys, err := c.checkDelegation(got.Delegation, doc)
	if err != nil {
		return nil, err
	}
	// 2
	payload, err := receiptProfile.verifiedPayload(got.Receipt, receiptKeys)
	if err != nil {
		return nil, err
	}
	// 7
	if got.Format != wrapFormat {
		return nil, notAuthentic("its format is %q, not %s", got.Format, wrapFormat)
	}
	if len(got.Secrets) != len(secrets) {
		return nil, notAuthentic("it has %d secrets, asked for were %d", len(got.Secrets), len(secrets))
	}
	for i, asked := range secrets {
		s := &got.Secrets[i]
		if s.Name != asked.Name || s.Version < 1 || s.Version > versionMax {
			return nil, notAuthentic("its secrets are not those that were asked for, in order")
		}
	}
	// 3, with 5 (the root) and 6 (the store)
	flags, err := checkReceipt(payload, got, challenge, doc, given.Store)
	if err != nil {
		return nil, err
	}
	// 4
	for i, asked := range secrets {
		if err := c.checkVersion(asked, got.Secrets[i].Version); err != nil {
			return nil, err
		}
	}
	values, err := unwrap(got, flags, doc, key)
	if err == nil {
		c.store = given.Store // an issuer may have delegated to several: from now on it is this one
	}
	return values, err
}

func (c *client) checkDelegation(message []byte, doc *document) (*delegation,
	map[string]*ecdsa.PublicKey, error) {
	payload, err := delegationProfile.verifiedPayload(message, c.issuers)
	if err != nil {
		return nil, nil, err
	}
	var given delegation
	if err := decode(payload, &given, "delegation's payload"); err != nil {
		return nil, nil, err
	}
	if given.Protocol != 1 || len(given.Store) != 16 {
		return nil, nil, notAuthentic("the delegation is not of version 1")
	}
	if doc.Timestamp < given.NotBefore || doc.Timestamp > given.NotAfter {
		return nil, nil, notAuthentic("the delegation is not valid at the time of this enclave's document")
	}
	if c.store != nil && !bytes.Equal(given.Store, c.store) {
		return nil, nil, notAuthentic("it comes from store %x, which is not the pinned one", given.Store)
	}
	key, kid, ok := parseKey(given.ReceiptKey, elliptic.P256())
	if !ok {
		return nil, nil, notAuthentic("the delegated key is not of P-256")
	}
	return &given, map[string]*ecdsa.PublicKey{kid: key}, nil
}

// checkReceipt: 3. What was sent and received, encoded again, is what was signed. Gives the flags.
func checkReceipt(payload []byte, got *answer, challenge []byte, doc *document,
	store []byte) ([]uint64, error) {
	var claimed receipt
	if err := decode(payload, &claimed, "receipt's payload"); err != nil {
		return nil, err
	}
	if len(claimed.Secrets) != len(got.Secrets) {
		return nil, notAuthentic("the receipt's list of secrets is another one")
	}
	if claimed.Images == nil || len(claimed.Images) > 16 || !slices.IsSorted(claimed.Images) ||
		len(slices.Compact(slices.Clone(claimed.Images))) != len(claimed.Images) {
		return nil, notAuthentic("the receipt's measurements are not in order")
	}
	expected := receipt{
		Protocol: 1, Time: claimed.Time, Challenge: challenge, Document: doc.digest,
		Root: doc.root[:], Store: store, Sequence: claimed.Sequence, Images: claimed.Images,
	}
	var flags []uint64
	for i, s := range got.Secrets {
		content := sha256.Sum256(slices.Concat(got.Enc, s.Ciphertext))
		flags = append(flags, claimed.Secrets[i].Flags)
		expected.Secrets = append(expected.Secrets,
			receiptEntry{Name: s.Name, Version: s.Version, Content: content[:], Flags: flags[i]})
	}
	for _, pair := range []struct {
		what            string
		claimed, wanted []byte
	}{
		{"challenge", claimed.Challenge, challenge}, {"document", claimed.Document, doc.digest},
		{"root", claimed.Root, doc.root[:]}, {"store", claimed.Store, store},
	} {
		if !bytes.Equal(pair.claimed, pair.wanted) {
			return nil, notAuthentic("the receipt's %s is another one", pair.what)
		}
	}
	again, err := deterministic.Marshal(&expected)
	if err != nil || !bytes.Equal(again, payload) {
		return nil, notAuthentic("the receipt does not say what was received")
	}
	return flags, nil
}

func (c *client) checkVersion(asked wanted, version uint32) error {
	if asked.Version != 0 && version != asked.Version {
		return notAuthentic("%s has version %d, asked for was %d", asked.Name, version, asked.Version)
	}
	if asked.Version == 0 && version < c.held[asked.Name] {
		return notAuthentic("%s has version %d, held before was %d", asked.Name, version, c.held[asked.Name])
	}
	if version < asked.MinVersion {
		return notAuthentic("%s has version %d, demanded was %d at least", asked.Name, version,
			asked.MinVersion)
	}
	return nil
}

// unwrap: section 4. One context; secret i has sequence number i.
func unwrap(got *answer, flags []uint64, doc *document, key *ecdh.PrivateKey) ([]released, error) {
	private, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, err
	}
	recipient, err := hpke.NewRecipient(got.Enc, private, hpke.HKDFSHA256(), hpke.AES256GCM(),
		[]byte("vouchsafe/1 wrap"))
	if err != nil {
		return nil, notAuthentic("its encapsulation: %v", err)
	}
	var values []released
	for i, s := range got.Secrets {
		aad, err := deterministic.Marshal([]any{"vouchsafe/1 wrap", wrapFormat, doc.digest, s.Name, s.Version})
		if err != nil {
			return nil, err
		}
		value, err := recipient.Open(aad, s.Ciphertext)
		if err != nil || len(value) < 1 || len(value) > secretMax {
			return nil, notAuthentic("%s does not open", s.Name)
		}
		values = append(values, released{s.Name, s.Version, value, flags[i]&1 != 0})
	}
	return values, nil
}
