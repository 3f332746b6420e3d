package main

// The Nitro Secure Module: section 3.

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"
)

const (
	nsmIoctl    = 0xC0200A00
	nsmReplyMax = 0x3000
)

// document is this enclave's own attestation document, which came from the NSM and nobody else:
// its signature is the verifier's to check.
type document struct {
	bytes  []byte
	digest []byte // section 1: SHA-384 of the payload
	root   [sha256.Size]byte

	Timestamp uint64         `cbor:"timestamp"`
	CABundle  [][]byte       `cbor:"cabundle"`
	PCRs      map[int][]byte `cbor:"pcrs"`
	Nonce     []byte         `cbor:"nonce"`
	PublicKey []byte         `cbor:"public_key"`
	UserData  []byte         `cbor:"user_data"`
}

func nsmExchange(where string, request []byte) ([]byte, error) {
	reply := make([]byte, nsmReplyMax)
	if path, ok := strings.CutPrefix(where, "unix:"); ok { // vouchsafe-nsm-sim(1): a packet each way
		conn, err := net.DialTimeout("unixpacket", path, 10*time.Second)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return nil, err
		}
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		n, err := conn.Read(reply)
		return reply[:n], err
	}
	fd, err := unix.Open(where, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// Two iovecs: where the request lies, where the reply goes; the second's length comes back.
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&request[0])
	pin.Pin(&reply[0])
	raw := [2]unix.Iovec{{Base: &request[0]}, {Base: &reply[0]}}
	raw[0].SetLen(len(request))
	raw[1].SetLen(len(reply))
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), nsmIoctl,
		uintptr(unsafe.Pointer(&raw))); e != 0 {
		return nil, e
	}
	if raw[1].Len > nsmReplyMax {
		return nil, fmt.Errorf("the reply is longer than the buffer")
	}
	return reply[:raw[1].Len], nil
}

// nsm makes one request; it gives the byte string that is `member` of the reply of that name.
func nsm(where string, request any, name, member string) ([]byte, error) {
	encoded, err := cbor.Marshal(request)
	if err != nil {
		return nil, failed(statusNSM, "the NSM's request: %v", err)
	}
	reply, err := nsmExchange(where, encoded)
	if err != nil {
		return nil, failed(statusNSM, "the NSM at %s: %v", where, err)
	}
	var parsed map[string]map[string][]byte
	if err := cbor.Unmarshal(reply, &parsed); err != nil || parsed[name][member] == nil {
		return nil, failed(statusNSM, "the NSM at %s did not answer %s", where, name)
	}
	return parsed[name][member], nil
}

// newKey makes a fresh X25519 key. An enclave has little randomness of its own at its start: the
// hypervisor's goes in as well, and one good half is enough.
func newKey(where string) (*ecdh.PrivateKey, error) {
	theirs, err := nsm(where, "GetRandom", "GetRandom", "random")
	if err != nil {
		return nil, err
	}
	if len(theirs) < 32 {
		return nil, failed(statusNSM, "the NSM at %s gave %d random bytes", where, len(theirs))
	}
	own := make([]byte, 32)
	rand.Read(own) // never fails
	seed := sha256.Sum256(append(own, theirs...))
	return ecdh.X25519().NewPrivateKey(seed[:])
}

func newDocument(where string, nonce, publicKey, userData []byte) (*document, error) {
	asked := map[string][]byte{"nonce": nonce, "public_key": publicKey, "user_data": userData}
	message, err := nsm(where, map[string]any{"Attestation": asked}, "Attestation", "document")
	if err != nil {
		return nil, err
	}
	// An untagged COSE_Sign1; the payload is the third.
	var parts []cbor.RawMessage
	var payload []byte
	doc := &document{bytes: message}
	if cbor.Unmarshal(message, &parts) != nil || len(parts) != 4 ||
		cbor.Unmarshal(parts[2], &payload) != nil || cbor.Unmarshal(payload, doc) != nil ||
		len(doc.CABundle) == 0 {
		return nil, failed(statusNSM, "the NSM's document cannot be read")
	}
	if !bytes.Equal(doc.Nonce, nonce) || !bytes.Equal(doc.PublicKey, publicKey) ||
		!bytes.Equal(doc.UserData, userData) {
		return nil, failed(statusNSM, "the NSM's document is not the one that was asked for")
	}
	digest := sha512.Sum384(payload)
	doc.digest = digest[:]
	doc.root = sha256.Sum256(doc.CABundle[0])
	return doc, nil
}
